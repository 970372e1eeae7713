"""What callers who are not known can use up of a worker's places: a share for each address, and seconds."""
import select
import threading
import time

import pytest
import requests

from tests.fake_openai import FakeOpenAI, whole
from tests.server import BIN, error_of, eventually
from tests.test_strangers import THERE, ask, behind
from tests.wire import Wire, bearer

FEW_PLACES = ("sh", "-c", f"ulimit -n 250; exec {BIN / 'proxy-gpt'}")  # 75 connections, of which one address may take SHARE
SHARE = 10


@pytest.fixture
def own_upstream():
    """An upstream that nobody else asks."""
    server = FakeOpenAI()
    yield server
    server.stop()


def unfinished(server, source, *lines):
    """A connection on which a login has begun."""
    wire = Wire(server, timeout=30, source=source)
    wire.send("\r\n".join(["POST /user/login HTTP/1.1", "Host: x", "Content-Length: 500", *lines, "", "username=eve"]).encode())
    return wire


def statuses(wires):
    """What became of connections: each status once it is there, None where they were closed without a word."""
    found = []
    for wire in wires:
        try:
            line = wire.file.readline()
        except ConnectionResetError:
            line = b""
        found.append(int(line.split()[1]) if line else None)
    return found


def is_open(wire):
    """Whether nothing has become of a connection so far."""
    return not select.select([wire.socket], [], [], 0)[0]


def test_unfinished_bodies_of_a_stranger_leave_room_for_others_and_end_soon(start):
    server = start(command=FEW_PLACES)
    eve = server.person("Eve")
    begin = time.monotonic()
    wires = [unfinished(server, THERE) for _ in range(150)]
    assert eve.get("/user/session").status_code == 200 and any(is_open(wire) for wire in wires)
    found = statuses(wires)
    assert time.monotonic() - begin < 20  # CLIENT_TIMEOUT is 60
    assert set(found) == {408, None} and found.count(408) >= SHARE
    for wire in wires:
        wire.close()


def test_unfinished_heads_of_a_stranger_leave_room_for_others(start):
    server = start(command=FEW_PLACES)
    eve = server.person("Eve")
    wires = [Wire(server, timeout=30, source=THERE) for _ in range(150)]
    for wire in wires:
        try:
            wire.send(b"GET / HT")
        except ConnectionError:  # it is closed already
            continue
    assert eve.get("/user/session").status_code == 200 and any(is_open(wire) for wire in wires)
    assert set(statuses(wires)) == {None}
    for wire in wires:
        wire.close()


def test_answers_that_a_stranger_does_not_read_leave_room_for_others(start):
    server = start(command=FEW_PLACES)
    eve = server.person("Eve")
    wires = []
    for _ in range(90):
        wire = Wire(server, timeout=30, source=THERE)
        wires.append(wire)
        try:
            wire.send(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 4)  # far more than the sockets hold
        except ConnectionError:
            continue
    assert eve.get("/user/session").status_code == 200
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("way", ["HTTP/1.0", "HTTP/1.1\r\nConnection: close"])
def test_a_long_upload_that_is_refused_is_not_reset_where_the_connection_closes(start, way):
    server = start()
    with Wire(server, timeout=30) as wire:
        wire.send(f"POST /v1/files {way}\r\nHost: x\r\nContent-Length: 60000\r\n\r\n".encode() + b"x" * 20_000)
        assert wire.error()[0] == 401
        wire.send(b"x" * 40_000)
        assert wire.file.read() == b""


def test_what_is_not_http_leaves_room_for_others_though_its_sender_waits(start):
    server = start(command=FEW_PLACES)
    eve = server.person("Eve")
    wires = [Wire(server, timeout=30, source=THERE) for _ in range(150)]
    for wire in wires:
        try:
            wire.send(b"nonsense\r\n\r\n")
        except ConnectionError:
            continue
    assert eve.get("/user/session").elapsed.total_seconds() < 1.9  # each might be waited for two seconds
    assert set(statuses(wires)) <= {400, None}
    for wire in wires:
        wire.close()


def test_behind_a_front_a_strangers_share_is_by_its_own_address(start):
    server = start(command=FEW_PLACES)
    eve = server.person("Eve")
    wires = [unfinished(server, "127.0.0.1", "X-Forwarded-For: 203.0.113.7:4711") for _ in range(SHARE)]
    fields = {"username": eve.name, "password": eve.password}

    def log_in(address):
        return requests.post(f"{server.url}/user/login", data=fields, headers=behind(address), timeout=10)

    refused = eventually(lambda: (answer := log_in("203.0.113.7")).status_code == 503 and [answer])[0]
    assert error_of(refused, 503)["code"] == "unavailable" and int(refused.headers["Retry-After"]) > 0
    assert log_in("203.0.113.8").status_code == 200
    assert set(statuses(wires)) == {408}
    assert log_in("203.0.113.7").status_code == 200
    for wire in wires:
        wire.close()


def test_a_known_callers_form_may_take_longer_than_a_strangers(start):
    server = start()
    eve = server.person("Eve")
    with Wire(server, timeout=30) as known, Wire(server, timeout=30) as unknown:
        for wire, path, lines in ((known, "/user/update", [bearer(eve)]), (unknown, "/user/login", [])):
            wire.send("\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 14", *lines, "", "first_"]).encode())
        status, error = unknown.error()
        assert status == 408 and "5 seconds" in error["message"]
        known.send(b"name=Eve")
        assert known.head()[0] == 200


def test_requests_under_way_take_nothing_of_the_share(start, own_upstream):
    server = start(command=FEW_PLACES, API_URL=own_upstream.url)
    eve, go_on = server.person("Eve"), threading.Event()
    for _ in range(2 * SHARE):
        own_upstream.script(go_on, whole(b"{}"))
    wires = []
    for number in range(2 * SHARE):
        wires.append(Wire(server, source=THERE))
        wires[-1].send(f"GET /v1/thing HTTP/1.1\r\nHost: x\r\n{bearer(eve)}\r\n\r\n".encode())
        eventually(lambda number=number: len(own_upstream.questions) == number + 1)
    assert ask(server, THERE, "GET", "/user/session", bearer(eve)) == 200
    go_on.set()
    assert {wire.head()[0] for wire in wires} == {200}
    for wire in wires:
        wire.close()
