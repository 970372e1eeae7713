"""What an event keeps of the bodies: their text up to a limit, their sizes, the model, and the tokens they used."""
import gzip

import brotli
import pytest

from tests.fake_openai import chunked, head, whole
from tests.wire import Wire, bearer


@pytest.fixture(scope="module")
def server(start):
    """A server with a small limit for what it keeps."""
    return start(LOG_BODY_BYTES="200")


@pytest.fixture(scope="module")
def eve(server):
    """Somebody there."""
    return server.person("Eve")


def test_text_is_cut_where_the_limit_is_and_the_sizes_are_kept(server, eve, upstream):
    text = "α" * 50_000
    upstream.script(whole(text.encode(), "text/plain; charset=utf-8"))
    event = server.event(eve.post("/v1/thing", data=text.encode(), headers={"Content-Type": "application/json"}))
    for column, size in (("request", "bytes_in"), ("response", "bytes_out")):
        assert event[column] == "α" * 100 + "… [the first 200 bytes of 100000]"
        assert event[size] == 100_000


def test_own_endpoints_texts_are_cut_too(server, eve):
    answer = eve.post("/user/update", data={"first_name": "Eve", "more": "x" * 5000})
    event = server.event(answer)
    assert event["request"].startswith('{"first_name": "Eve", "more": "xxx') and len(event["request"]) < 300
    assert event["bytes_in"] == int(answer.request.headers["Content-Length"]) and event["bytes_out"] == len(answer.content)


@pytest.mark.parametrize("kind", ["audio/mpeg", "image/png", "application/octet-stream", "multipart/form-data; boundary=b"])
def test_binary_bodies_are_kept_by_type_and_size_alone(server, eve, upstream, kind):
    data = bytes(range(256)) * 10
    upstream.script(whole(data, kind))
    event = server.event(eve.post("/v1/thing", data=data, headers={"Content-Type": kind}))
    assert event["request"] == event["response"] == f"[{kind.partition(';')[0]}, 2560 bytes]"
    assert event["bytes_in"] == event["bytes_out"] == 2560


COMPRESSED = {"gzip": gzip.compress, "x-gzip": gzip.compress, "br": brotli.compress}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_compressed_text_is_kept_readable_with_its_model_and_usage(server, eve, upstream, encoding):
    body = COMPRESSED[encoding](b'{"model": "m-1", "usage": {"prompt_tokens": 3, "completion_tokens": 4}, "text": "' + b"words " * 5000 + b'"}')
    upstream.script(whole(body, "application/json", "200 OK", f"Content-Encoding: {encoding}"))
    with Wire(server) as wire:
        headers = dict(wire.ask("POST", "/v1/x", bearer(eve), "Content-Type: application/json", f"Content-Encoding: {encoding}", body=body)[1])
        assert wire.body(headers)[0] == body
    event = server.event(headers["x-proxy-request-id"])
    assert event["request"].startswith('{"model": "m-1"') and event["response"].startswith('{"model": "m-1"')
    assert (event["input_tokens"], event["output_tokens"], event["model"]) == (3, 4, "m-1")
    assert event["bytes_in"] == event["bytes_out"] == len(body)


def test_what_is_not_the_encoding_it_claims_passes_and_has_its_row(server, eve, upstream):
    upstream.script(whole(b"not gzip", "application/json", "200 OK", "Content-Encoding: gzip"))
    answer = eve.get("/v1/thing", stream=True)
    assert answer.raw.read(decode_content=False) == b"not gzip"
    assert (server.event(answer)["outcome"], server.event(answer)["bytes_out"]) == ("complete", 8)


SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
USAGE = b'data: {"usage": null}\n\ndata: {"choices": [], "usage" : {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}}\n\n'
SAID = rb'{"choices": [{"text": "\"usage\": {\"prompt_tokens\": 99}"}], "usage": {"prompt_tokens": 7, "completion_tokens": 9}}'
USAGES = {
    "cut anywhere": (SSE + chunked(*(bytes([byte]) for byte in USAGE), b""), 7, 9),
    "in the words of the model": (whole(SAID), 7, 9),
    "in the words of the model alone": (whole(SAID.partition(b"], ")[0] + b"]}"), None, None),
    "null": (whole(b'{"usage": null}'), None, None),
    "null at the end": (SSE + chunked(USAGE + b'data: {"usage": null}\n\n', b""), 7, 9),
    "not an object": (whole(b'{"usage": {"prompt_tokens": "7", "completion_tokens": -1}}'), None, None),
    "broken": (whole(b'{"usage": {"prompt_tokens": 7'), None, None),
    "too many to count": (whole(b'{"usage": {"prompt_tokens": 7, "completion_tokens": 1e99}}'), 7, None),
    "behind a megabyte": (whole(b'{"text": "' + b"x" * (1 << 20) + b'", "usage": {"prompt_tokens": 7, "completion_tokens": 9}}'), 7, 9),
}


@pytest.mark.parametrize("case", USAGES)
def test_the_usage_is_found_wherever_it_is_and_only_there(server, eve, upstream, case):
    answer, input_tokens, output_tokens = USAGES[case]
    upstream.script(answer)
    event = server.event(eve.post("/v1/thing"))
    assert (event["input_tokens"], event["output_tokens"]) == (input_tokens, output_tokens)
    assert event["outcome"] == "complete"
