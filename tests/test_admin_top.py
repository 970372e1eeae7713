"""`proxy-admin top`: what is open in all processes on a database, whoever opened it and wherever."""
import json
import os
import threading

import pytest
import requests

from tests.admin import Admin
from tests.fake_openai import chunked, head
from tests.server import eventually, execute_on_database, query_database
from tests.subscriber import EventSource, WebSocket

DEAD = "INSERT INTO processes (id, host, pid, started_at, seen_at, open) VALUES ('dead', 'gone', 7, ?, ?, ?)"  # it said nothing for long
SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def servers(start, new_database, backend, redis_address):
    """Two servers on one database, the first one with two workers."""
    shared = {"DB_ADDRESS": new_database(backend), "REDIS_ADDRESS": redis_address}
    return start(**shared, WEB_CONCURRENCY="2"), start(**shared, WEB_CONCURRENCY="1")


@pytest.fixture(scope="module")
def alice(servers):
    """Somebody who has a lot going on."""
    return servers[0].person("Alice")


@pytest.fixture
def chat(alice):
    """A chat of hers."""
    return alice.ask("/chat/create").json()["id"]


@pytest.fixture
def admin(servers, tmp_path):
    """The operator."""
    return Admin(tmp_path, servers[0].database)


def shown(admin):
    """What `top` knows."""
    return json.loads(admin.ok("top", "--json"))


def stream_of(server, person, upstream, go_on):
    """A call whose answer has begun, and goes on when it may: (the pieces that come, its id)."""
    upstream.script(SSE + chunked(b"data: 1\n\n"), go_on, chunked(b"data: 2\n\n", b""))
    answer = requests.post(f"{server.url}/v1/chat/completions", json={"model": "gpt-4o"}, headers=person.headers, stream=True, timeout=20)
    pieces = answer.iter_content(None)
    assert next(pieces) == b"data: 1\n\n"
    return pieces, answer.headers["x-proxy-request-id"]


def test_calls_prompts_and_streams_of_all_processes_are_shown_until_they_end(servers, alice, chat, admin, upstream):
    one, other = servers
    go_on = threading.Event()
    execute_on_database(one.database, DEAD, *["2026-01-01T00:00:00.000000Z"] * 2, json.dumps({"items": [], "more": 7}))
    assert admin.ok("top", "--once") == "Nothing is under way.\n"
    listeners = [EventSource(alice, chat), WebSocket(alice, chat, url=other.url)]
    pieces, call = stream_of(other, alice, upstream, go_on)
    upstream.script(go_on, SSE + chunked(b"data: [DONE]\n\n", b""))
    prompt = alice.ask("/chat/prompt", id=chat, prompt="hello", stream="true").json()["message"]["id"]
    found = eventually(lambda: len(found := shown(admin)) == 4 and found, within=10)
    assert [(item["kind"], item["endpoint"], item["model"]) for item in found] == [
        ("sse", "/chat/stream", ""), ("websocket", "/chat/stream", ""), ("call", "/v1/chat/completions", "gpt-4o"), ("prompt", "/chat/prompt", "gpt-4o-mini"),
    ]  # fmt: skip
    assert {item["username"] for item in found} == {"Alice"} and [item["id"] for item in found[2:]] == [call, prompt]
    workers = [int(item["process"].rpartition(":")[2]) for item in found]
    assert set(workers) <= {*one.workers(), *other.workers()} and workers[1:3] == other.workers() * 2 and workers[0] in one.workers()
    assert found[2]["bytes"] == 9
    title, *lines = admin.ok("top", "--once").splitlines()
    assert title.split() == ["USER", "KIND", "ENDPOINT", "MODEL", "FOR", "BYTES", "PROCESS"] and len(lines) == 4
    go_on.set()
    assert next(pieces) == b"data: 2\n\n"
    for listener in listeners:
        listener.close()
    eventually(lambda: shown(admin) == [], within=10)
    assert admin.ok("top", "--once") == "Nothing is under way.\n"
    assert query_database(one.database, "SELECT * FROM processes") == []
    assert other.event(call)["model"] == "gpt-4o"


def test_of_whom_only_what_is_counted_is_kept_it_shows_neither_endpoint_nor_model(servers, admin, upstream):
    server, bob, go_on = servers[1], servers[1].person("Bob"), threading.Event()
    admin.ok("capture", "bob", "none")
    eventually(lambda: not server.event(bob.get("/v1/models"))["endpoint"], within=2)
    pieces, call = stream_of(server, bob, upstream, go_on)
    (item,) = eventually(lambda: shown(admin), within=10)
    assert {name: item[name] for name in ("id", "kind", "user_id", "method", "endpoint", "model", "bytes")} == {
        "id": call, "kind": "call", "user_id": bob.id, "method": "", "endpoint": "", "model": "", "bytes": 9,
    }  # fmt: skip
    go_on.set()
    assert next(pieces) == b"data: 2\n\n"
    eventually(lambda: shown(admin) == [], within=10)


def test_at_a_terminal_it_looks_again_until_one_leaves(servers, admin):
    terminal = admin.at_a_terminal("top", "--every", "0.5")
    while terminal.shown.count(b"Nothing is under way.") < 2:
        terminal._read()
    os.write(terminal.descriptor, b"\x03")
    assert terminal.end()[0] == 0
    assert len([event for event in admin.events() if event["endpoint"] == "proxy-admin top" and "every=0.5" in event["params"]]) == 1
