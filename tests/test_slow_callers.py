"""A caller who is slow, who sends too much or takes too little, holds nothing and nobody up, and is told so where it can be."""
import socket
import threading
import time

import pytest

from tests.fake_openai import FakeOpenAI, chunked, head
from tests.server import BIN, error_of, eventually
from tests.wire import Wire, bearer

LENGTH = 300_000
MEGABYTE = b"x" * (1 << 20)


@pytest.fixture(scope="module")
def own_upstream():
    """An upstream that nobody else asks."""
    server = FakeOpenAI()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def impatient(start, own_upstream):
    """A server that waits a second for its callers, and takes a megabyte."""
    return start(API_URL=own_upstream.url, CLIENT_TIMEOUT="1", MAX_UPLOAD_MB="1")


@pytest.fixture(scope="module")
def eve(impatient):
    """Somebody on it."""
    return impatient.person("Eve")


@pytest.fixture(autouse=True)
def nothing_asked(own_upstream):
    """Each test starts afresh, and leaves nothing behind at the upstream but idle connections."""
    own_upstream.forget()


def post(path, person, *lines):
    """The head of a POST."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", bearer(person), *lines, "", ""]).encode()


def trickle(wire, data, within=6):
    """Send a byte now and then until the server ends it; returns the seconds that took."""
    begin = time.monotonic()
    wire.socket.settimeout(0.05)
    for number in range(int(within / 0.05)):
        try:
            wire.send(data[number % len(data) :][:1])
            if wire.socket.recv(1, socket.MSG_PEEK) is not None:
                break  # an answer, or the end
        except TimeoutError:
            continue
        except ConnectionError:
            break
    wire.socket.settimeout(5)
    return time.monotonic() - begin


def test_heads_that_come_byte_by_byte_are_not_waited_for_while_others_are_answered(impatient, eve):
    wires = [Wire(impatient) for _ in range(100)]
    begin = time.monotonic()
    for wire in wires:
        wire.send(b"GET /user/session HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert eve.get("/user/session").elapsed.total_seconds() < 0.5
    assert trickle(wires[0], b"x") < 3
    for wire in wires[1:]:
        assert wire.file.read() == b""
        wire.close()
    assert time.monotonic() - begin < 4


def test_an_idle_connection_is_closed(impatient, eve):
    with Wire(impatient) as fresh, Wire(impatient) as used:
        _, headers = used.ask("GET", "/user/session", bearer(eve))
        used.body(headers)
        begin = time.monotonic()
        assert (fresh.file.read(), used.file.read()) == (b"", b"")
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize(("path", "lines", "begun", "drip"), [
    ("/user/login", ["Content-Length: 500"], b"username=eve", b"x"),
    ("/user/login", ["Transfer-Encoding: chunked"], b"3\r\nuse\r\n", b"1\r\nx\r\n"),
    ("/user/login", ["Content-Type: multipart/form-data; boundary=b", "Content-Length: 500"], b"--b\r\n", b"x"),
    ("/v1/thing", ["Content-Length: 500"], b"{", b" "),
    ("/v1/files", [f"Content-Length: {LENGTH}"], b"x" * 100_000, b"x"),
    ("/v1/files", ["Transfer-Encoding: chunked"], chunked(b"x" * 100_000), b"1\r\nx\r\n"),
])  # fmt: skip
def test_a_body_that_comes_byte_by_byte_is_a_408_and_leaves_nothing_open(impatient, eve, own_upstream, path, lines, begun, drip):
    with Wire(impatient) as wire:
        wire.send(post(path, eve, *lines) + begun)
        assert trickle(wire, drip) < 4
        status, headers = wire.head()
        assert status == 408 and b'"request_timeout"' in wire.body(headers)[0]
        assert wire.file.read() == b""
    event = impatient.event(dict(headers)["x-proxy-request-id"])
    assert (event["status"], event["outcome"]) == (408, "timeout") and "64 kilobytes" in event["message"]
    assert own_upstream.questions == []  # what it got was never a whole request
    eventually(lambda: own_upstream.connections == 0)


def deaf(server):
    """A connection whose client takes only what its small buffer holds."""
    wire = Wire.__new__(Wire)
    wire.socket = socket.socket()
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.socket.settimeout(10)
    wire.socket.connect(("127.0.0.1", server.port))
    wire.file = wire.socket.makefile("rb")
    return wire


def test_a_caller_who_stops_reading_ends_the_upstreams_work(impatient, eve, own_upstream):
    own_upstream.script(head("200 OK", f"Content-Length: {100 << 20}"), *[MEGABYTE] * 100)
    with deaf(impatient) as wire:
        status, headers = wire.ask("GET", "/v1/files/f/content", bearer(eve))
        assert status == 200
        assert own_upstream.question().gone.wait(5)
        event = impatient.event(dict(headers)["x-proxy-request-id"])
    assert event["outcome"] == "client_gone" and "CLIENT_TIMEOUT" in event["message"] and 0 < event["bytes_out"] < 50 << 20
    assert "Traceback" not in impatient.output()


def test_a_caller_who_reads_slowly_but_reads_gets_it_all(impatient, eve, own_upstream):
    own_upstream.script(head("200 OK", f"Content-Length: {20 << 20}"), *[MEGABYTE] * 20)
    with deaf(impatient) as wire:
        wire.ask("GET", "/v1/files/f/content", bearer(eve))
        left, begin = 20 << 20, time.monotonic()
        while left:
            left -= len(wire.file.read(min(left, 1 << 20)))
            threading.Event().wait(0.1)
        assert time.monotonic() - begin > 1.5  # longer than the server would wait for one piece


def test_a_caller_who_does_not_take_an_answer_of_ours_is_gone_too(impatient, eve):
    chat = eve.ask("/chat/create").json()["id"]
    for _ in range(10):
        assert eve.ask("/chat/prompt", id=chat, prompt="x" * 1_000_000, otr="true").status_code == 200
    with deaf(impatient) as wire:
        _, headers = wire.ask("GET", f"/chat/read?id={chat}", bearer(eve))
        event = impatient.event(dict(headers)["x-proxy-request-id"])
    assert event["outcome"] == "client_gone" and "CLIENT_TIMEOUT" in event["message"]


def test_an_upload_that_says_it_is_too_large_is_refused_before_it_is_sent(impatient, eve, own_upstream):
    with Wire(impatient) as wire:
        wire.send(post("/v1/files", eve, f"Content-Length: {(1 << 20) + 1}"))
        status, headers = wire.head()
        assert status == 413 and b"MAX_UPLOAD_MB" in wire.body(headers)[0]
    event = impatient.event(dict(headers)["x-proxy-request-id"])
    assert (event["status"], event["outcome"]) == (413, "refused") and own_upstream.questions == []


def test_an_upload_that_grows_too_large_is_refused_while_it_is_sent(impatient, eve, own_upstream):
    with Wire(impatient) as wire:
        wire.send(post("/v1/files", eve, "Transfer-Encoding: chunked") + chunked(MEGABYTE) + chunked(b"x" * 70_000))
        status, headers = wire.head()
        assert status == 413 and b"MAX_UPLOAD_MB" in wire.body(headers)[0]
    assert impatient.event(dict(headers)["x-proxy-request-id"])["outcome"] == "refused"
    eventually(lambda: own_upstream.connections == 0)
    assert own_upstream.questions == []


@pytest.mark.parametrize("data", [MEGABYTE, iter([MEGABYTE])])
def test_an_upload_of_the_largest_size_passes(eve, own_upstream, data):
    assert eve.post("/v1/files", data=data).status_code == 200
    assert own_upstream.question().size == 1 << 20


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_a_form_in_chunks_that_grows_too_large_is_refused(eve, content_type):
    begun = b"first_name=x&" if "form-url" in content_type else b'--b\r\nContent-Disposition: form-data; name="first_name"\r\n\r\n'
    answer = eve.post("/user/update", data=iter([begun, MEGABYTE]), headers={"Content-Type": content_type})
    assert error_of(answer, 413)["code"] == "request_too_large"


def test_a_form_of_the_largest_size_is_read(eve):
    assert eve.post("/user/update", data=iter([b"first_name=x&other=", b"y" * ((1 << 20) - 19)])).status_code == 200


def test_more_connections_than_the_machine_allows_stop_nobody_for_long(start):
    server = start(command=("sh", "-c", f"ulimit -n 250; exec {BIN / 'proxy-gpt'}"), CLIENT_TIMEOUT="1")
    wires = [Wire(server) for _ in range(150)]
    for wire in wires:
        wire.send(b"GET / HT")
    begin = time.monotonic()
    assert server.person("Eve").get("/v1/models").status_code == 200
    assert 1 < time.monotonic() - begin < 10  # it was its turn when others had been let go
    assert "Too many open files" not in server.output()
    for wire in wires:
        wire.close()
