"""Stopping and restarting: streams in flight finish, new connections are taken all the while, and every event is written."""
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.fake_openai import chunked, head
from tests.faults.load import Load
from tests.server import error_of, eventually
from tests.subscriber import EventSource, WebSocket
from tests.wire import Wire

SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


def stream_in_flight(person, upstream, go_on):
    """A stream whose first piece is there; the rest comes when `go_on` is set."""
    upstream.script(SSE + chunked(b"data: 1\n\n"), go_on, chunked(b"data: 2\n\n", b""))
    answer = requests.get(f"{person.server.url}/v1/stream", headers=person.headers, stream=True, timeout=30)
    pieces = answer.iter_content(None)
    assert next(pieces) == b"data: 1\n\n"
    return answer, pieces


@pytest.fixture
def rolling(start, database):
    """A server whose new master, if there is one, ends with the test."""
    server = start(DB_ADDRESS=database, DRAIN_SECONDS="20")
    yield server
    for pid in masters(server)[1:]:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), within=30)


def masters(server):
    """The process ids of its masters, in the order in which they began."""
    return [int(pid) for pid in re.findall(r"Listening at: \S+ \((\d+)\)", server.output())]


def session_of(person):
    """A function that asks for this person's session over a connection of its own."""
    return lambda number: requests.get(f"{person.server.url}/user/session?n={number}", headers=person.headers, timeout=30)


def test_a_rolling_restart_refuses_no_connection_breaks_no_stream_and_sends_subscribers_on(rolling, upstream):
    server, go_on = rolling, threading.Event()
    eve = server.person("Eve")
    chat = eve.ask("/chat/create").json()["id"]
    events, socket = EventSource(eve, chat), WebSocket(eve, chat)
    answer, pieces = stream_in_flight(eve, upstream, go_on)
    eve.close()  # a connection that is kept alive would be waited for
    with Load(session_of(eve)) as load:
        server.process.send_signal(signal.SIGUSR2)  # gunicorn: a new master beside the old one, on the same socket
        eventually(lambda: server.output().count("Booting worker") == 2, within=20)
        server.process.terminate()
        assert events.closed.wait(5) and socket.closed.wait(5) and socket.close_code == 1001
        go_on.set()
        assert b"".join(pieces) == b"data: 2\n\n"
        assert server.process.wait(20) == 0
        seen = len(load.answers)
        eventually(lambda: len(load.answers) > seen + 20)
    assert load.statuses() == {200}
    assert server.event(answer)["outcome"] == "complete"
    ids = {answer.headers["x-proxy-request-id"] for _, answer, _ in load.answers}
    eventually(lambda: ids <= {row["id"] for row in server.events(endpoint="/user/session", outcome="complete")})


def test_what_outlasts_the_drain_is_cut_and_told_so_and_so_says_its_event(start, database, upstream):
    server = start(DB_ADDRESS=database, DRAIN_SECONDS="1")
    eve = server.person("Eve")
    stream, pieces = stream_in_flight(eve, upstream, threading.Event())
    upstream.script(threading.Event())
    with ThreadPoolExecutor(1) as elsewhere, Wire(server) as balancer:
        assert balancer.body(balancer.ask("GET", "/healthz")[1]) == (b'{"status":"ok"}\n', True)
        waiting = elsewhere.submit(eve.get, "/v1/waits", headers={"Connection": "close"})
        upstream.question(1)
        server.process.terminate()
        assert error_of(waiting.result(10), 503)["code"] == "interrupted"
        balancer.send(b"GET /readyz HTTP/1.1\r\nHost: proxy\r\n\r\n")
        status, error = balancer.error()
        assert (status, error["code"], error["param"]) == (503, "not_ready", "process")
    assert b'"code": "interrupted"' in b"".join(pieces)
    assert upstream.question(0).gone.wait(5) and upstream.question(1).gone.wait(5)
    assert server.process.wait(20) == 0
    for answer, status in ((stream, 200), (waiting.result(), 503)):
        event = server.event(answer)
        assert (event["outcome"], event["status"]) == ("interrupted", status) and event["message"].endswith(".")
