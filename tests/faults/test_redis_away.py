"""Redis is stopped, or hangs: prompts work, streams go on and make up for what they missed, and nobody waits for long."""
import json
import time

import pytest
import requests

from tests.redis_server import RedisServer
from tests.server import eventually
from tests.subscriber import EventSource, WebSocket

LONGEST = 2  # seconds that anything may take
OUTAGES = {"is stopped": ("stop", "start"), "hangs": ("hang", "go_on")}


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """A Redis of these tests alone."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def servers(start, new_database, redis_server):
    """Two processes on it."""
    shared = {"DB_ADDRESS": new_database("postgres"), "REDIS_ADDRESS": redis_server.url, "WEB_CONCURRENCY": "1"}
    return start(**shared), start(**shared)


def in_time(function, *args, **more):
    """What the function returns, in time."""
    begin = time.monotonic()
    result = function(*args, **more)
    assert time.monotonic() - begin < LONGEST
    return result


def prompt(person, chat, text, **more):
    """Send a prompt, in time."""
    answer = in_time(person.ask, "/chat/prompt", id=chat, prompt=text, **more)
    assert answer.status_code == 200, answer.text
    return answer


def told(upstream):
    """The texts of the last question."""
    return [message["content"] for message in json.loads(upstream.questions[-1].body)["messages"]]


def has_redis(server):
    """Whether a server has it again, to publish and to hear what is published."""
    listens = server.output().count("Redis broke off") == server.output().count("Redis stands again")
    return listens and requests.get(f"{server.url}/readyz", timeout=10).json()["status"] == "ready"


@pytest.mark.parametrize("outage", OUTAGES)
def test_prompts_and_streams_go_on_in_time_and_what_was_missed_is_made_up_for(servers, redis_server, upstream, outage):
    one, other = servers
    begin, end = (getattr(redis_server, name) for name in OUTAGES[outage])
    alice = one.person(f"Alice when it {outage}")
    chat = alice.ask("/chat/create").json()["id"]
    prompt(alice, chat, "before")
    near, far = EventSource(alice, chat), WebSocket(alice, chat, url=other.url)
    begin()
    for text in ("first", "second"):
        prompt(alice, chat, text)
    assert told(upstream) == ["before", "You said: before", "first", "You said: first", "second"]
    prompt(alice, chat, "third", stream="true")
    assert [in_time(near.until_whole)[-1]["message"]["prompt"] for _ in range(3)] == ["first", "second", "third"]
    in_time(EventSource, alice, chat).close()
    assert in_time(alice.get, "/chat/read", params={"id": chat}).status_code == 200
    assert in_time(one.person, f"Bob when it {outage}").ask("/user/logout").status_code == 200
    end()
    assert [far.until_whole()[-1]["message"]["prompt"] for _ in range(3)] == ["first", "second", "third"]
    eventually(lambda: all(has_redis(server) for server in servers))
    prompt(alice, chat, "after", stream="true")
    for listener in (near, far):
        *pieces, whole = listener.until_whole()
        assert "".join(piece["message"]["reply"] for piece in pieces) == whole["message"]["reply"] == "You said: after"
        listener.close()
