"""INCLUDE_USAGE: streams are counted though nobody asked for it, and nobody notices."""
import json
import threading

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_gpt.include_usage import LONGEST_EVENT, Stripper, with_usage
from tests.fake_openai import HANG_UP, chunked, head
from tests.test_openai_client import hello, tokens
from tests.wire import Wire, bearer

USAGE = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}'
ONE, TWO = b'data: {"choices":[{"delta":{"content":"\\"choices\\":[]"}}],"usage":null}', b'data: {"choices":[],"usage":null,"prompt_filter_results":[]}'
SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def server(start):
    """A server with the setting on."""
    return start(INCLUDE_USAGE="on")


@pytest.fixture(scope="module")
def eve(server):
    """Somebody there."""
    return server.person("Eve")


@pytest.fixture
def client(server, eve, upstream):
    """OpenAI's own client, as Eve uses it."""
    with openai.OpenAI(api_key=eve.token, base_url=f"{server.url}/v1", max_retries=0, timeout=10) as client:
        yield client


def test_the_official_client_sees_no_usage_that_it_did_not_ask_for_and_the_event_has_it(client, server, upstream):
    raw = client.chat.completions.with_raw_response.create(**hello(stream=True))
    chunks = list(raw.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: Hello there"  # each has a choice
    assert all(chunk.usage is None for chunk in chunks)
    event = server.event(raw.headers["x-proxy-request-id"])
    assert (event["usage"], *tokens(event)) == ("exact", 24, 68, 16, 8) and event["outcome"] == "complete"
    assert '"include_usage"' not in event["request"]
    asked = upstream.question()
    assert asked.header("Accept-Encoding") is None and json.loads(asked.body)["stream_options"] == {"include_usage": True}


def test_the_official_client_sees_the_usage_that_it_asked_for(client, upstream):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**hello(stream=True, stream_options=options)))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 68
    assert upstream.question().header("Accept-Encoding")  # the request passed as it was


def test_the_other_bytes_pass_as_they_came_and_are_counted(server, eve, upstream):
    events = [ONE + b"\n\n", TWO + b"\n\n", USAGE + b"\n\n", b"data: [DONE]\n\n"]
    upstream.script(SSE + chunked(*events, b""))
    answer = eve.post("/v1/completions", data=b'{"stream": true}')
    assert answer.content == b"".join(events[:2] + events[3:])
    event = server.event(answer)
    assert (event["bytes_out"], event["usage"], event["input_tokens"]) == (len(answer.content), "exact", 7)


def test_an_event_does_not_wait_for_the_next(server, eve, upstream):
    heard = [threading.Event(), threading.Event()]
    upstream.script(SSE, chunked(ONE + b"\n\n"), heard[0], chunked(USAGE + b"\n\n" + TWO + b"\n\n"), heard[1], chunked(b": ping\n"), chunked(b""))
    with Wire(server) as wire:
        wire.ask("POST", "/v1/chat/completions", bearer(eve), body=b'{"stream":true}')
        assert wire.chunk() == ONE + b"\n\n"
        heard[0].set()
        assert wire.chunk() == TWO + b"\n\n"
        heard[1].set()
        assert (wire.chunk(), wire.chunk()) == (b": ping\n", b"")


def test_a_stream_that_breaks_off_still_says_so(server, eve, upstream):
    upstream.script(SSE + chunked(ONE + b"\n\n" + b'data: {"choi'), HANG_UP)
    answer = eve.post("/v1/chat/completions", data=b'{"stream":true}')
    assert answer.content.startswith(ONE + b'\n\ndata: {"choi\n\n') and "upstream_truncated" in answer.text
    event = server.event(answer)
    assert (event["usage"], event["output_tokens"], event["outcome"]) == ("estimated", 4, "upstream_truncated")


ASKED = {
    '{"stream":true}': '{"stream_options":{"include_usage":true},"stream":true}',
    ' {\n "stream" : true }\n': ' {"stream_options":{"include_usage":true},\n "stream" : true }\n',
    '{"stream":true,"stream_options":null}': '{"stream":true,"stream_options":{"include_usage":true}}',
    '{"stream":true,"stream_options":{ }}': '{"stream":true,"stream_options":{"include_usage":true }}',
    '{"stream_options":{"x": [1]},"stream":true}': '{"stream_options":{"include_usage":true,"x": [1]},"stream":true}',
    '{"stream":true,"stream_options":{"include_usage" : false, "x":1}}': '{"stream":true,"stream_options":{"include_usage" : true, "x":1}}',
    '{"m":"\\u20ac € \\"stream\\":false","stream":true}': '{"stream_options":{"include_usage":true},"m":"\\u20ac € \\"stream\\":false","stream":true}',
}  # fmt: skip
LEFT_ALONE = (
    '{"stream":true,"stream_options":{"include_usage":true}}', '{"stream":false}', "{}", "", "[]", "x", '{"stream":true', '{"stream":"true"}',
    '{"stream":true,"stream":false}', '{"stream":true,"stream_options":[]}', '{"stream":true,"stream_options":{},"stream_options":{}}',
    '{"messages":[{"stream":true}]}', '{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}', "[" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("body", ASKED)
def test_the_request_changes_as_little_as_it_can(body):
    assert with_usage(body.encode()).decode() == ASKED[body]
    assert json.loads(ASKED[body])["stream_options"]["include_usage"] is True


@pytest.mark.parametrize("body", [*map(str.encode, LEFT_ALONE), b'{"stream":true,"x":"\xff"}', b'\xef\xbb\xbf{"stream":true}'])
def test_any_other_request_is_left_alone(body):
    assert with_usage(body) is None


LINE = st.sampled_from([ONE, TWO, b"data: [DONE]", b"event: x", b"id: 7", b": ping", b"data: ", b"", USAGE[:-1], b"x" * (LONGEST_EVENT + 9), b"\xff"])
REPORT = st.sampled_from([USAGE, b"id: 1\n" + USAGE, USAGE.replace(b'{"id":"x",', b'{"id":"x",\ndata: '), USAGE.replace(b"[]", b"[ ]")])
OTHER = st.lists(LINE, min_size=1, max_size=3).map(b"\n".join)
EVENTS = st.lists(st.one_of(REPORT.map(lambda event: (event, True)), OTHER.map(lambda event: (event, False))), max_size=6)


@given(EVENTS, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_exactly_the_usage_is_taken_out_wherever_the_stream_is_cut(events, line_end, data):
    sent = [((event + b"\n\n").replace(b"\n", line_end), is_usage) for event, is_usage in events]
    stream, wanted = b"".join(event for event, _ in sent), b"".join(event for event, is_usage in sent if not is_usage)
    edges = [at for at in range(len(stream)) if stream[at] in b"\r\n"] or [0]  # where it matters most
    cuts = sorted(data.draw(st.lists(st.one_of(st.integers(0, len(stream)), st.sampled_from(edges)), max_size=12)))
    stripper = Stripper()
    got = [stripper.feed(stream[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join([*got, stripper.end()]) == wanted and stripper.taken == len(stream) - len(wanted)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_cut_into_single_bytes_each_event_passes_with_its_last(line_end):
    stripper, passed = Stripper(), b""
    for event in (ONE, USAGE, TWO, USAGE, b": ping", b"data: [DONE]"):
        whole = event + 2 * line_end
        got = b"".join(stripper.feed(bytes([byte])) for byte in whole)
        passed += got
        assert got == (b"" if event == USAGE else whole)
    assert stripper.end() == b"" and b"[DONE]" in passed
