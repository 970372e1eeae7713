"""What is not plain HTTP is refused in OpenAI's words, without repeating it, and no second request ever hides in the first."""
import pytest

from tests.conftest import KEY
from tests.fake_openai import whole
from tests.server import eventually
from tests.wire import Wire, bearer, elsewhere

HIDDEN = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SECRET = "tok-that-nobody-may-see"


def request(person, *lines, body=b"", first=b"POST /v1/thing HTTP/1.1"):
    """The bytes of a request with these header lines, and a body."""
    return first + b"\r\nHost: x\r\n" + bearer(person).encode() + b"\r\n" + b"".join(lines) + b"\r\n" + body


def framed(*lines, status=400, first=b"POST /v1/thing HTTP/1.1"):
    """A case: a request with these header lines, whose body means one thing by one reading, and another by another."""
    return lines, b"0\r\n\r\n" + HIDDEN, status, first


FRAMINGS = {
    "a length and chunks": framed(b"Content-Length: 5\r\n", CHUNKED),
    "chunks and a length": framed(CHUNKED, b"Content-Length: 5\r\n"),
    "two lengths": framed(b"Content-Length: 5\r\nContent-Length: 44\r\n"),
    "the same length twice": framed(b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    "a list of lengths": framed(b"Content-Length: 5, 5\r\n"),
    "a length with a sign": framed(b"Content-Length: +5\r\n"),
    "a length below nothing": framed(b"Content-Length: -5\r\n"),
    "a hexadecimal length": framed(b"Content-Length: 0x5\r\n"),
    "a length of odd digits": framed(b"Content-Length: \xb2\r\n"),
    "chunks twice": framed(b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunks in two headers": framed(CHUNKED, CHUNKED),
    "chunks and then identity": framed(b"Transfer-Encoding: chunked, identity\r\n"),
    "identity": framed(b"Transfer-Encoding: identity\r\n"),
    "compressed chunks": framed(b"Transfer-Encoding: gzip, chunked\r\n", status=501),
    "chunks that are compressed": framed(b"Transfer-Encoding: chunked, gzip\r\n"),
    "a coding that nobody knows": framed(b"Transfer-Encoding: xchunked\r\n", status=501),
    "a coding in quotes": framed(b'Transfer-Encoding: "chunked"\r\n', status=501),
    "a coding after a vertical tab": framed(b"Transfer-Encoding: \x0bchunked\r\n"),
    "a space before the colon": framed(b"Transfer-Encoding : chunked\r\n"),
    "a tab before the colon": framed(b"Content-Length\t: 5\r\n"),
    "a space before the name": framed(b" Transfer-Encoding: chunked\r\n"),
    "a header folded into two lines": framed(b"X: y\r\n Transfer-Encoding: chunked\r\n"),
    "a value folded into two lines": framed(b"Transfer-Encoding:\r\n chunked\r\n"),
    "a line that ends with LF alone": framed(b"X: y\nTransfer-Encoding: chunked\r\n"),
    "a line that ends with CR alone": framed(b"X: y\rTransfer-Encoding: chunked\r\n"),
    "a NUL in a header": framed(b"X: y\0Transfer-Encoding: chunked\r\n"),
    "a header without a colon": framed(b"Content-Length 5\r\n"),
    "chunks in HTTP/1.0": framed(CHUNKED, first=b"POST /v1/thing HTTP/1.0"),
    "two hosts": framed(b"Host: y\r\n"),
    "HTTP/2 without its preface": framed(b"Content-Length: 5\r\n", status=505, first=b"POST /v1/thing HTTP/2.0"),
    "an expectation that nobody knows": framed(b"Expect: the-unexpected\r\n", status=417),
    "too many headers": framed(b"X: y\r\n" * 101, status=431),
    "a long header": framed(b"X: " + b"y" * 9000 + b"\r\n", status=431),
    "a long path": framed(status=414, first=b"GET /v1/" + b"y" * 9000 + b" HTTP/1.1"),
    "a path with a line break in it": framed(first=b"GET /v1/x\rHost:y HTTP/1.1"),
    "a path with a space in it": framed(first=b"GET /v1/x y HTTP/1.1", status=505),
    "a path with raw UTF-8 in it": framed(first=b"GET /v1/\xc3\xa9 HTTP/1.1"),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMINGS)
def test_a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_ends(sqlite_proxy, dora, upstream, case):
    lines, body, status, first = FRAMINGS[case]
    with Wire(sqlite_proxy) as wire:
        wire.send(request(dora, *lines, body=body, first=first))
        answered, error = wire.error()
        assert answered == status and dora.token not in str(error)
        assert wire.file.read() == b""  # what follows is not read as a request
    assert upstream.questions == []


NAMING = [
    ["Connection: content-encoding"], ["Connection: Content-Type"], ["Connection: keep-alive , CONTENT-LENGTH"], ["connection:accept-encoding,close"],
    ["Connection: Accept"], ["Connection: ,,\tauthorization\t,"], ["Connection: x, Cookie"], ["Connection: host"],
    ["Connection: keep-alive", "Connection: content-encoding"], ["Connection: Upgrade,  content-disposition", "Connection: x"],
]  # fmt: skip


@pytest.mark.parametrize("lines", NAMING)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files", "/v1/unknown"])
def test_a_connection_header_cannot_hide_how_a_request_is_to_be_read(sqlite_proxy, dora, upstream, lines, path):
    with Wire(sqlite_proxy) as wire:
        body = b'{"model": "gpt-5"}'
        wire.send("\r\n".join([f"POST {path} HTTP/1.1", "Host: x", bearer(dora), *lines, "Content-Encoding: gzip", f"Content-Length: {len(body)}", "", ""]).encode() + body)
        status, error = wire.error()
    assert (status, error["code"], "Connection" in error["message"]) == (400, "malformed_request", True)
    assert upstream.questions == []


@pytest.mark.parametrize("line", ["Connection: x-hop", "Connection: X_Hop, , x-HOP,contents", "Connection: Content_Encoding, x-hop", "Connection: close, x-hop"])
def test_what_else_a_connection_header_names_is_dropped(sqlite_proxy, dora, upstream, line):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        assert wire.ask("POST", "/v1/thing", bearer(dora), line, "X-Hop: 1", "Content-Encoding: gzip", "X-Other: 1", body=b"x")[0] == 200
    asked = upstream.question()
    assert (asked.header("X-Hop"), asked.header("X-Other"), asked.header("Content-Encoding")) == (None, "1", "gzip")


def test_a_coding_of_which_only_the_chunks_would_be_undone_is_not_read(sqlite_proxy, dora, upstream):
    with Wire(sqlite_proxy) as wire:
        wire.send(request(dora, b"Transfer-Encoding: identity, chunked\r\n", body=b"0\r\n\r\n" + HIDDEN))
        assert [wire.error()[0], wire.error()[0]] == [501, 401]  # the second one has no token
    assert upstream.questions == []


CHUNKS = {
    "no size": b"\r\nabc\r\n", "a size that is none": b"zz\r\nabc\r\n", "a size with a sign": b"+3\r\nabc\r\n", "a size with a prefix": b"0x3\r\nabc\r\n",
    "a size below nothing": b"-3\r\nabc\r\n", "a size with a space before it": b" 3\r\nabc\r\n", "a size with a space in it": b"1 0\r\nabc\r\n",
    "a size line with LF alone": b"3\nabc\r\n", "an extension with a CR": b"3;a\rb\r\nabc\r\n", "an extension with an LF": b"3;a\nb\r\nabc\r\n",
    "more bytes than its size": b"3\r\nabcd\r\n", "an end with LF alone": b"3\r\nabc\n", "a very long extension": b"3;" + b"a" * 40000 + b"\r\nabc\r\n",
    "a trailer that frames": b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "a trailer with LF alone": b"3\r\nabc\r\n0\r\nX: y\n\r\n\r\n",
    "a trailer that is none": b"3\r\nabc\r\n0\r\nX\r\n\r\n", "endless trailers": b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", CHUNKS)
@pytest.mark.parametrize("path", ["/v1/files", "/user/login"])
def test_chunks_that_could_be_read_in_two_ways_are_refused_and_make_no_whole_request(sqlite_proxy, dora, upstream, path, case):
    body = CHUNKS[case] + b"0\r\n\r\n" + HIDDEN
    with Wire(sqlite_proxy) as wire:
        wire.send(request(dora, CHUNKED, body=body, first=f"POST {path} HTTP/1.1".encode()))
        assert wire.error()[0] == 400
        assert wire.file.read() == b""
    assert upstream.questions == []


def test_extensions_and_trailers_of_chunks_go_no_further(sqlite_proxy, dora, upstream):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        wire.send(request(dora, CHUNKED, body=b'3 ;a="b;c"\r\nabc\r\n0;x\r\nX-Trailer: 1\r\n\r\n'))
        assert wire.head()[0] == 200
    asked = upstream.question()
    assert (asked.body, asked.framed_by, asked.header("X-Trailer")) == (b"abc", "chunks", None)


@pytest.mark.parametrize("lines", [[b"Content-Length: %d\r\n" % len(HIDDEN)], [CHUNKED]])
def test_a_request_inside_a_body_is_nothing_but_the_body(sqlite_proxy, dora, upstream, lines):
    upstream.script(whole(b"{}"))
    body = HIDDEN if lines[0] != CHUNKED else b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    with Wire(sqlite_proxy) as wire:
        wire.send(request(dora, *lines, body=body))
        assert wire.head()[0] == 200
        assert dora.get("/v1/models").status_code == 200
    assert [question.target for question in upstream.questions] == ["/v1/thing", "/v1/models"]
    assert upstream.question().body == HIDDEN


def test_of_two_requests_sent_at_once_each_is_asked_who_it_comes_from(sqlite_proxy, dora, upstream):
    with Wire(sqlite_proxy) as wire:
        wire.send(request(dora, first=b"GET /v1/models HTTP/1.1") + HIDDEN)
        status, headers = wire.head()
        assert status == 200 and wire.body(headers)[1]
        assert wire.error()[0] == 401
    assert [question.target for question in upstream.questions] == ["/v1/models"]


@pytest.mark.parametrize(("method", "target", "status"), [
    ("GET", "http://other.example/admin", 404), ("GET", "http://other.example/v1/../admin", 400), ("GET", "http://other.example", 404),
    ("GET", "http:///v1/models", 200), ("GET", "//other.example/v1/models", 404), ("GET", "///v1/models", 400), ("GET", "/V1/models", 404),
    ("GET", "/%761/models", 400), ("GET", "/v1%2fmodels", 400), ("GET", "/x/../v1/models", 404), ("OPTIONS", "*", 404), ("GET", "*", 400),
    ("GET", "other.example:443", 400), ("CONNECT", "other.example:443", 404), ("CONNECT", "/v1/models", 405), ("TRACE", "/v1/models", 405),
    ("GET", "/v1/..;/admin", 400), ("GET", "/v1/x/..;a=b/..;/admin", 400), ("GET", "/v1/%25252e%25252e%25252fadmin", 400),
    ("GET", "/v1/%c0%ae%c0%ae/admin", 400), ("GET", "/v1/\\..\\admin", 400), ("GET", "/v1/x%0d%0aX:%20y", 400), ("GET", "/v1/%u002e%u002e/", 200),
])  # fmt: skip
def test_every_form_of_target_ends_below_v1_of_our_upstream_or_nowhere(sqlite_proxy, dora, upstream, method, target, status):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        assert wire.ask(method, target, bearer(dora))[0] == status
    assert len(upstream.questions) == (1 if status == 200 else 0)
    assert all(question.target.startswith("/v1/") and question.header("Host") in upstream.url for question in upstream.questions)


def test_headers_that_look_alike_to_wsgi_change_neither_the_address_nor_the_path(sqlite_proxy, dora, upstream):
    with Wire(sqlite_proxy) as wire:
        _, headers = wire.ask("GET", "/v1/models", bearer(dora), "X_Forwarded_For: 203.0.113.9", "SCRIPT_NAME: /v1", "PATH_INFO: /user/session",
                              "Content_Length: 5", "Transfer_Encoding: chunked")  # fmt: skip
    event = sqlite_proxy.event(dict(headers)["x-proxy-request-id"])
    assert (event["status"], event["client_ip"], event["endpoint"]) == (200, "127.0.0.1", "/v1/models")
    assert {name.lower() for name, _ in upstream.question().headers} == {"host", "authorization"}


@pytest.mark.parametrize("line", [
    f"Authorization Bearer {SECRET}", f"Authorization : Bearer {SECRET}", f"Authorization: Bearer {SECRET}\x01", f"Auth\x7forization: {SECRET}",
    f"Expect: {SECRET}", f"Transfer-Encoding: {SECRET}", f"{SECRET}@: x", f"Content-Length: {SECRET}",
])  # fmt: skip
def test_what_was_wrong_is_neither_repeated_nor_logged(sqlite_proxy, line):
    here = elsewhere()
    with Wire(sqlite_proxy, source=here) as wire:
        wire.send(f"GET /v1/models?token={SECRET} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode("latin-1"))
        wire.socket.settimeout(5)
        answer = wire.file.read().decode()
    assert answer.startswith("HTTP/1.1 4") or answer.startswith("HTTP/1.1 5") and "HTTP/1.1 501" in answer
    identity = answer.partition("x-proxy-request-id: ")[2].partition("\r\n")[0]
    event = sqlite_proxy.event(identity)
    assert (event["outcome"], event["status"], event["client_ip"]) == ("refused", int(answer.split()[1]), here) and event["message"]
    assert SECRET not in answer + str(event) + sqlite_proxy.output()
    assert "<html" not in answer and "Traceback" not in sqlite_proxy.output()


def test_a_line_break_reaches_no_header_of_ours(sqlite_proxy, dora):
    for path in ("/x%0d%0aSet-Cookie:%20evil=1", "//evil.example", "/\\evil.example"):
        answer = dora.post("/user/login", data=f"username=Dora&password=correct+horse&redirect_url={path}", allow_redirects=False,
                           headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
        assert answer.status_code == 400 and "evil" not in str(answer.headers)


def test_the_key_comes_back_by_no_method(sqlite_proxy, dora, upstream):
    for method in ("TRACE", "CONNECT", "OPTIONS"):
        with Wire(sqlite_proxy) as wire:
            _, headers = wire.ask(method, "/v1/models", bearer(dora))
            assert KEY.encode() not in wire.body(headers)[0]
    assert [question.method for question in eventually(lambda: upstream.questions)] == ["OPTIONS"]
