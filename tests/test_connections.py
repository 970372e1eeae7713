"""The connections to the upstream: which are trusted, which are used again, and what answers they may bring."""
import ssl
import threading

import pytest
import trustme

from proxy_gpt.upstream.connections import LONGEST_IDLE, Connections
from tests.fake_openai import HANG_UP, FakeOpenAI, chunked, head, whole
from tests.server import error_of, eventually

CHUNKED = "Transfer-Encoding: chunked"
OURS = b'{"ours": 1}'


@pytest.fixture(scope="module")
def own_upstream():
    """An upstream that nobody else asks."""
    server = FakeOpenAI()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def eve(start, own_upstream):
    """Somebody on a server that asks this upstream."""
    return start(API_URL=own_upstream.url).person("Eve")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority, and the path of its certificate."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    authority.path = str(path)
    return authority


@pytest.fixture
def secure_upstream(authority):
    """A function that starts an upstream with a certificate for a host."""
    started = []

    def begin(host):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(context)
        started.append(FakeOpenAI(tls=context))
        return started[-1]

    yield begin
    for server in started:
        server.stop()


def test_https_is_spoken_with_an_upstream_whose_certificate_is_good(start, secure_upstream, authority):
    upstream = secure_upstream("127.0.0.1")
    eve = start(API_URL=upstream.url, SSL_CERT_FILE=authority.path).person("Eve")
    upstream.script(head("200 OK", CHUNKED) + chunked(b"one", b"two" * 70000, b""))
    assert eve.get("/v1/thing").content == b"one" + b"two" * 70000
    assert eve.get("/v1/models").status_code == 200
    assert upstream.connections == 1
    assert eve.post("/v1/files", data=b"one" * 1_000_000).json()["bytes"] == 3_000_000
    upstream.interrupt(whole(b"Enough.", "text/plain", "413 Too Large"))
    assert eve.post("/v1/files", data=bytes(32 << 20)).content == b"Enough."
    assert eventually(lambda: upstream.connections == 0) and len(upstream.questions) == 3  # it never had all of this one


@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", False), ("elsewhere.example", True)])
def test_no_request_goes_to_an_upstream_whose_certificate_is_not_good(start, secure_upstream, authority, host, trusted):
    upstream = secure_upstream(host)
    eve = start(API_URL=upstream.url, **({"SSL_CERT_FILE": authority.path} if trusted else {})).person("Eve")
    assert error_of(eve.get("/v1/models"), 502)["code"] == "upstream_unreachable"
    assert upstream.questions == []


def test_an_https_upstream_that_does_not_answer_in_time_is_a_504(start, secure_upstream, authority):
    upstream = secure_upstream("127.0.0.1")
    eve = start(API_URL=upstream.url, SSL_CERT_FILE=authority.path, UPSTREAM_TIMEOUT="1").person("Eve")
    upstream.script(threading.Event())
    assert error_of(eve.get("/v1/models"), 504)["code"] == "upstream_timeout"


def test_one_connection_serves_one_request_after_the_other(eve, own_upstream):
    for number in range(5):
        assert eve.get("/v1/models").status_code == 200, number
        assert eve.head("/v1/models").status_code in (200, 404), number
    assert own_upstream.connections <= 2  # a request may come just before the connection of the last one is free


def test_a_connection_that_the_upstream_closed_meanwhile_is_not_used_again(eve, own_upstream):
    own_upstream.script(whole(OURS), HANG_UP)
    assert eve.get("/v1/models").content == OURS
    eventually(lambda: own_upstream.connections == 0)
    assert eve.get("/v1/models").status_code == 200


def test_a_connection_that_was_idle_for_long_is_closed_and_not_used_again(own_upstream):
    pool = Connections(own_upstream.url, 5, 5)
    first, second = pool.take(), pool.take()
    first.release(reusable=True)
    assert pool.take() is first
    first.release(reusable=True)
    first.idle_since -= LONGEST_IDLE + 1
    second.release(reusable=True)  # the first one is closed by that
    assert first.sock.fileno() == -1
    second.idle_since -= LONGEST_IDLE + 1
    assert pool.take() not in (first, second) and second.sock.fileno() == -1


ODD = {
    "interim answers come first": [head("100 Continue"), head("103 Early Hints", "Link: </x>", "X-Early: 1"), whole(OURS)],
    "it is of HTTP/1.0": [b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\n" + OURS, HANG_UP],
    "it has trailers": [head("200 OK", CHUNKED) + chunked(OURS) + b"0\r\nX-Early: 1\r\n\r\n"],
    "it gives no reason": [b"HTTP/1.1 200\r\nContent-Length: 11\r\n\r\n" + OURS],
    "it comes byte by byte": [bytes([byte]) for byte in whole(OURS)],
    "it is the last one": [whole(OURS, "application/json", "200 OK", "Connection: close"), HANG_UP],
    "another one follows that nobody asked for": [whole(OURS) + whole(b'{"not": "ours"}')],
    "bytes follow that nobody asked for": [whole(OURS) + b"\0\0\0"],
}


@pytest.mark.parametrize("oddity", ODD)
def test_an_answer_is_understood_and_leaves_nothing_for_the_next_when(eve, own_upstream, oddity):
    own_upstream.script(*ODD[oddity])
    answer = eve.get("/v1/thing")
    assert (answer.status_code, answer.content) == (200, OURS)
    assert "X-Early" not in answer.headers
    own_upstream.script(whole(b"the next"))
    assert eve.get("/v1/thing").content == b"the next"


@pytest.mark.parametrize("nonsense", [
    head("101 Switching Protocols", "Upgrade: x", "Connection: upgrade"), head("200 OK", "X: " + "x" * 300_000),
    b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", head("200 OK", "Content-Length: 3", CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
])  # fmt: skip
def test_an_answer_that_could_be_misunderstood_is_none(eve, own_upstream, nonsense):
    own_upstream.script(nonsense)
    assert error_of(eve.get("/v1/thing"), 502)["code"] == "upstream_unreachable"


def test_who_ends_a_prompt_after_its_answer_ends_nobody_elses_request(eve, own_upstream):
    chat = eve.ask("/chat/create").json()["id"]
    begun, go_on = head("200 OK", "Content-Type: text/event-stream", CHUNKED) + chunked(b'data: {"choices": []}\n\n'), threading.Event()
    own_upstream.forget()
    own_upstream.script(begun, go_on, chunked(b"data: [DONE]\n\n", b""))
    assert eve.ask("/chat/prompt", id=chat, prompt="Well?", stream="true").status_code == 200
    own_upstream.question()
    assert eve.ask("/chat/delete", id=chat).status_code == 200  # so that the end of the message cannot be written
    go_on.set()
    event = eventually(lambda: eve.server.events(endpoint="/chat/prompt"))[-1]
    assert event["bytes_out"] > 0 and own_upstream.connections == 1
    assert eve.get("/v1/models").status_code == 200 and own_upstream.connections == 1  # the same one
