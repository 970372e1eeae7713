"""Bodies made to keep a worker busy: others are answered meanwhile, no worker dies, and the bytes pass."""
import contextlib
import gzip
import socket
import threading
import zlib

import brotli
import pytest

from tests.fake_openai import chunked, head, whole
from tests.limited import limit
from tests.probe import Probe
from tests.server import error_of, execute_on_database
from tests.wire import Wire, bearer

JSON = "application/json"
MEGABYTE = 1 << 20
MESSAGES = """
    WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ?)
    INSERT INTO messages (id, created_at, chat_id, prompt, reply, model, otr, status, error)
    SELECT ? || '-' || n, '2024-01-01T00:00:00.000000Z', ?, replace(hex(zeroblob(32768)), '0', 'x'), '', '', 0, 'complete', '' FROM counter
"""


def bomb(megabytes, coding):
    """A few bytes that expand to so many megabytes of spaces."""
    if coding == "br":
        compressor, last = brotli.Compressor(quality=5, lgwin=24), "finish"
        pieces = [compressor.process(b" " * MEGABYTE) for _ in range(megabytes)]
    else:
        compressor, last = zlib.compressobj(wbits=31 if coding == "gzip" else 15), "flush"
        pieces = [compressor.compress(b" " * MEGABYTE) for _ in range(megabytes)]
    return b"".join(pieces) + getattr(compressor, last)()


def sent(path, body, coding=""):
    """A case: a body that goes up."""

    def send(eve, upstream, scale):
        upstream.script(whole(b"{}"))
        answer = eve.post(path, data=body(scale), headers={"Content-Type": JSON, "Content-Encoding": coding})
        assert answer.status_code == 200 and answer.json() == {}
        assert upstream.question().size == len(body(scale))

    return send


def answered(method, path, body, content_type=JSON, coding=""):
    """A case: a body that comes down."""

    def ask(eve, upstream, scale):
        raw = body(scale)
        upstream.script(whole(raw, content_type, "200 OK", *([f"Content-Encoding: {coding}"] if coding else ())))
        with eve.request(method, path, data=b"{}", stream=True) as answer:
            assert sum(map(len, answer.raw.stream(MEGABYTE, decode_content=False))) == len(raw)

    return ask


def tiny_chunks_up(eve, upstream, scale):
    """Each byte in a chunk of its own."""
    upstream.script(whole(b"{}"))
    with Wire(eve.server, timeout=60) as wire:
        wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{bearer(eve)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        wire.send(b"1\r\nx\r\n" * (scale << 16) + b"0\r\n\r\n")
        assert wire.head()[0] == 200
    assert upstream.question().size == scale << 16


def tiny_chunks_down(eve, upstream, scale):
    """The same from the upstream."""
    upstream.script(head("200 OK", "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * (scale << 16) + b"0\r\n\r\n")
    assert eve.get("/v1/thing").content == b"x" * (scale << 16)


def refused_upload(eve, upstream, scale):
    """A stranger's, which nobody wants to have, but whose sender has to be told so."""
    with Wire(eve.server, timeout=60) as wire:
        wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: {scale * 10 * MEGABYTE}\r\n\r\n".encode())
        for _ in range(scale * 10):
            wire.send(b"x" * MEGABYTE)
        assert wire.head()[0] == 401


def pipelined_requests(eve, upstream, scale):
    """A stranger's, sent without waiting for the answers."""
    count = scale * 100
    with Wire(eve.server, timeout=60) as wire:
        sending = threading.Thread(target=wire.send, args=(b"GET /v1/ HTTP/1.1\r\nHost: x\r\n\r\n" * count,))
        sending.start()
        for _ in range(count):
            status, headers = wire.head()
            assert status == 401 and wire.body(headers)[1]
        sending.join()


def long_prompt(how):
    """A case: a prompt as long as one may be."""

    def prompt(eve, upstream, scale):
        fields = {"id": eve.ask("/chat/create").json()["id"], "prompt": "word " * 200_000, "otr": "true"}
        for _ in range(scale):
            assert eve.post("/chat/prompt", **{how: fields}).json()["message"]["prompt"] == fields["prompt"]

    return prompt


def long_answer_to_a_prompt(eve, upstream, scale):
    """One of many megabytes in a single line."""
    upstream.script(whole(b'{"choices": [{"message": {"content": "' + b"x" * (3 * MEGABYTE) + b'"}}]}'))
    chat = eve.ask("/chat/create").json()["id"]
    assert len(eve.ask("/chat/prompt", id=chat, prompt="Well?").json()["reply"]) == 3 * MEGABYTE


def deleted(what):
    """A case: a chat, or a team with one, that has many messages and goes with them."""

    def delete(eve, upstream, scale):
        team = eve.ask("/team/create", name="long").json()["id"]
        chat = eve.ask("/chat/create", team_id=team).json()["id"]
        execute_on_database(eve.server.database, MESSAGES, scale * 100, chat, chat)
        assert eve.ask(f"/{what}/delete", id=chat if what == "chat" else team).json() == {}
        assert eve.server.rows("SELECT COUNT(*) AS n FROM messages WHERE chat_id = ?", chat) == [{"n": 0}]
        error_of(eve.get(f"/chat/read?id={chat}"), 404)

    return delete


CHAT = "/v1/chat/completions"
HOSTILE = {
    **{f"a {coding} bomb goes up": sent(CHAT, lambda scale, coding=coding: bomb(scale * 50, coding), coding) for coding in ("br", "gzip", "deflate")},
    **{f"a {coding} bomb comes down": answered("GET", "/v1/x", lambda scale, coding=coding: bomb(scale * 50, coding), JSON, coding) for coding in ("br", "gzip")},
    "a bomb of form fields goes up": sent("/v1/responses", lambda scale: gzip.compress(b"a=" * (scale << 22)), "gzip"),
    "many gzip members go up": sent(CHAT, lambda scale: gzip.compress(b"") * (scale * 10_000), "gzip"),
    "bytes behind a gzip member go up": sent(CHAT, lambda scale: gzip.compress(b"{}") + b"x" * (scale * 5 * MEGABYTE), "gzip"),
    "zeros behind a gzip member go up": sent(CHAT, lambda scale: gzip.compress(b"{}") + bytes(scale * 5 * MEGABYTE), "gzip"),
    "a large file goes up": sent("/v1/files", lambda scale: bytes(scale * 10 * MEGABYTE)),
    "keys of base64 go up": sent(CHAT, lambda scale: b'"data":"' * (scale * 5 * MEGABYTE // 8)),
    "keys of base64 go up to responses": sent("/v1/responses", lambda scale: b'"file_data": "' * (scale * 5 * MEGABYTE // 14)),
    "keys of words come down": answered("POST", CHAT, lambda scale: b'"text":"",' * (scale * 2 * MEGABYTE // 10)),
    "keys of usage come down": answered("POST", "/v1/embeddings", lambda scale: b'"usage":{' * (scale * 2 * MEGABYTE // 9)),
    "a large file comes down": answered("GET", "/v1/files/f/content", lambda scale: bytes(scale * 10 * MEGABYTE), "audio/mpeg"),
    "tiny chunks go up": tiny_chunks_up, "tiny chunks come down": tiny_chunks_down, "an upload is refused": refused_upload,
    "requests are pipelined": pipelined_requests, "a long prompt comes in a form": long_prompt("data"), "a long prompt comes in JSON": long_prompt("json"),
    "a prompt has a long answer": long_answer_to_a_prompt, "a long chat is deleted": deleted("chat"), "a team with a long chat is deleted": deleted("team"),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(start):
    """A server on SQLite, which waits for its disk where it writes: the worst for others."""
    return start(SIGNUP="open")


@pytest.fixture(scope="module")
def eve(server):
    """Somebody with a token."""
    return server.person("Eve")


def longest_wait(server, eve, upstream, case, scale):
    """How long somebody else had to wait for an answer at most."""
    workers = server.workers()
    with Probe(server) as probe:
        HOSTILE[case](eve, upstream, scale)
    assert server.workers() == workers
    return probe.longest


@pytest.mark.parametrize("case", HOSTILE)
def test_others_are_answered_while(server, eve, upstream, case):
    assert longest_wait(server, eve, upstream, case, scale=3) < 1


@pytest.mark.quiet
@pytest.mark.parametrize("case", HOSTILE)
def test_others_are_answered_within_50_ms_while(server, eve, upstream, case):
    assert longest_wait(server, eve, upstream, case, scale=20) < 0.05


@pytest.mark.quiet
def test_a_body_that_expands_to_five_gigabytes_stops_nobody(server, eve, upstream):
    body = bomb(4700, "br")
    upstream.script(whole(b"{}"))
    with Probe(server) as probe:
        assert eve.post(CHAT, data=body, headers={"Content-Type": JSON, "Content-Encoding": "br"}).status_code == 200
    assert probe.longest < 0.05 and upstream.question().size == len(body) < 10_000


def test_of_a_body_that_expands_without_end_the_usage_is_unknown(server, eve, upstream):
    upstream.script(whole(b'{"choices": [{"message": {"content": "Hello"}}]}'))
    answer = eve.post(CHAT, data=bomb(100, "gzip"), headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
    event = server.event(answer)
    assert (event["usage"], event["input_tokens"], event["outcome"]) == ("unknown", None, "complete")
    assert "more than 1" in event["request"]


def test_what_the_upstream_reports_counts_though_the_request_could_not_be_read(server, eve, upstream):
    upstream.script(whole(b'{"usage": {"prompt_tokens": 7, "completion_tokens": 2}}'))
    answer = eve.post(CHAT, data=b"\x28\xb5\x2f\xfd", headers={"Content-Type": JSON, "Content-Encoding": "zstd"})
    assert [server.event(answer)[name] for name in ("usage", "input_tokens", "output_tokens")] == ["exact", 7, 2]


@pytest.mark.parametrize("coding", ["br", "gzip", "deflate"])
def test_all_of_a_well_compressed_answer_is_read(server, eve, upstream, coding):
    text = b'{"choices": [], "x": "' + b"y" * 900_000 + b'", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
    raw = {"br": brotli.compress, "gzip": gzip.compress, "deflate": zlib.compress}[coding](text)
    for size in (len(raw), 1):  # at once, and byte by byte
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        upstream.script(head("200 OK", f"Content-Type: {JSON}", f"Content-Encoding: {coding}", "Transfer-Encoding: chunked"), *map(chunked, pieces), chunked(b""))
        event = server.event(eve.post(CHAT, json={"model": "gpt-4o"}))
        assert (event["usage"], event["input_tokens"], event["output_tokens"]) == ("exact", 3, 4)


def test_all_members_of_a_gzip_body_are_read(server, eve, upstream):
    upstream.script(head("200 OK", f"Content-Type: {JSON}", "Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(
        gzip.compress(b'{"choices": [], "usage": {"prompt_tokens": 3, '), gzip.compress(b'"completion_tokens": 4}}') + bytes(100), b""
    ))  # fmt: skip
    event = server.event(eve.post(CHAT, json={"model": "gpt-4o"}))
    assert (event["usage"], event["input_tokens"], event["output_tokens"]) == ("exact", 3, 4)


@pytest.fixture(scope="module")
def frank(server):
    """Somebody with a budget."""
    frank = server.person("Frank")
    limit(server, frank, tokens_per_day=10**9)
    return frank


UNREADABLE = {
    "a br bomb": (JSON, "br", bomb(3, "br"), 413), "a gzip bomb": (JSON, "gzip", bomb(3, "gzip"), 413), "a deflate bomb": (JSON, "deflate", bomb(3, "deflate"), 413),
    "many members": (JSON, "gzip", gzip.compress(b"") * 1001 + gzip.compress(b"{}"), 413),
    "a bomb in a form": ("multipart/form-data; boundary=b", "gzip", bomb(3, "gzip"), 413), "zstd": (JSON, "zstd", b"\x28\xb5\x2f\xfd", 415),
    "two codings": (JSON, "gzip, br", b"{}", 415), "no gzip": (JSON, "gzip", b"{}", 415), "no br": (JSON, "br", b"{}", 415),
    "a picture": ("image/png", "", b'{"model": "gpt-4o-mini"}', 415),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_caller_with_a_budget_must_send_what_can_be_read(frank, upstream, case):
    content_type, coding, body, status = UNREADABLE[case]
    headers = {"Content-Type": content_type, "Content-Encoding": coding}
    for path in (CHAT, "/v1/embeddings", "/v1/images/edits"):
        for data in (body, iter([body])):  # with a length, and in chunks
            error = error_of(frank.post(path, data=data, headers=headers), status)
            assert error["code"] == ("request_too_large" if status == 413 else "unsupported_media_type") and "your use is limited" in error["message"]
    assert upstream.questions == []
    upstream.script(whole(b"{}"))
    assert frank.post("/v1/files", data=body, headers=headers).status_code == 200  # which costs nothing, and need not be read


def test_a_bomb_behind_a_harmless_beginning_ends_the_upload(frank, upstream):
    plain = zlib.compressobj(level=0, wbits=31)
    body = plain.compress(b"{" + b" " * 1_000_000) + plain.flush() + bomb(300, "gzip")
    answer = frank.post(CHAT, data=body, headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
    assert error_of(answer, 413)["code"] == "request_too_large"
    assert frank.server.event(answer)["bytes_in"] > 1_000_000  # the beginning was good, and had been sent
    assert [question for question in upstream.questions if question.size >= len(body)] == []


def test_a_stranger_gets_to_read_the_refusal_of_a_long_upload_and_the_connection_goes_on(server):
    with Wire(server, timeout=60) as wire:
        for framing, body in ((f"Content-Length: {5 * MEGABYTE}", b"x" * 5 * MEGABYTE), ("Transfer-Encoding: chunked", chunked(b"x" * 5 * MEGABYTE, b""))):
            wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
            with contextlib.suppress(socket.timeout):
                wire.send(body)
            assert wire.error()[0] == 401
