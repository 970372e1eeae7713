"""PostgreSQL is stopped, or hangs, under load: who is known goes on, the others are told when to come back, nothing is lost."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.faults.load import Load
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.server import error_of, eventually
from tests.subscriber import EventSource

PATIENCE = 5  # seconds that an unknown caller may wait for a database that hangs
SLACK = 2.5  # seconds more on a busy machine


@pytest.fixture(scope="module")
def postgres_server():
    """A PostgreSQL of these tests alone."""
    server = PostgresServer()
    yield server
    server.end()


@pytest.fixture(scope="module")
def server(start, postgres_server):
    """A proxy on it."""
    return start(DB_ADDRESS=postgres_server.url)


@pytest.fixture(scope="module")
def eve(server):
    """Somebody with a token."""
    return server.person("Eve")


@pytest.fixture
def new_chat_server(start, postgres_server, tmp_path):
    """A proxy on it that has a Redis too."""
    redis = RedisServer(tmp_path)
    yield start(DB_ADDRESS=postgres_server.url, REDIS_ADDRESS=redis.url, WEB_CONCURRENCY="1"), redis
    redis.stop()


def call(person, label):
    """A function that calls /v1/models as this person, each time over a connection of its own."""
    return lambda number: requests.get(f"{person.server.url}/v1/models?n={label}-{number}", headers=person.headers, timeout=30)


def stranger(server):
    """The answer to somebody whose token nobody knows, and how long it took."""
    begin = time.monotonic()
    answer = requests.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer unknown"}, timeout=30)
    return answer, time.monotonic() - begin


def is_known_to_be_away(server):
    """Whether the server has found out: then strangers need not wait."""
    return server.output().count("PostgreSQL is away") > server.output().count("PostgreSQL is back")


OUTAGES = {"is stopped": ("stop", "start"), "hangs": ("hang", "go_on")}
SECONDS = [3, pytest.param(20, marks=pytest.mark.long)]


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("outage", OUTAGES)
def test_known_callers_go_on_the_others_are_sent_away_and_every_event_arrives_once(server, eve, upstream, postgres_server, outage, seconds):
    label = f"{OUTAGES[outage][0]}-{seconds}"
    begin, end = (getattr(postgres_server, name) for name in OUTAGES[outage])
    assert eve.get("/v1/models").status_code == 200
    with Load(call(eve, label)) as load:
        begin()
        with ThreadPoolExecutor(60) as people:  # three times as many as the pool has connections
            for answer, waited in people.map(stranger, [server] * 60):
                assert error_of(answer, 503)["code"] == "unavailable" and int(answer.headers["Retry-After"]) > 0
                assert waited < PATIENCE + SLACK
        eventually(lambda: is_known_to_be_away(server), within=10)
        away_since, seen = time.monotonic(), len(load.answers)
        for answer, waited in (stranger(server), stranger(server)):
            assert error_of(answer, 503) and waited < SLACK
        error_of(eve.get("/user/session"), 503)
        begin_looking = time.monotonic()
        assert error_of(eve.get("/readyz"), 503)["param"] == "database" and time.monotonic() - begin_looking < SLACK
        assert eve.get("/healthz").status_code == 200
        eventually(lambda: time.monotonic() > away_since + seconds and len(load.answers) > seen + 50, within=seconds + 20)
        end()
        eventually(lambda: eve.get("/user/session").status_code == 200, within=10)
    assert load.statuses() == {200} and load.longest() < 1 + SLACK
    assert server.person(f"after it {outage} for {seconds} s").get("/v1/models").status_code == 200
    sent = sorted(f"n={label}-{number}" for number, _, _ in load.answers)

    def arrived():
        return sorted(row["params"] for row in server.rows("SELECT params FROM events WHERE params LIKE ?", f"n={label}-%"))

    eventually(lambda: len(arrived()) >= len(sent), within=20)
    assert arrived() == sent


def test_a_chats_stream_outlives_postgresql_and_redis_being_away_both(new_chat_server, postgres_server):
    server, redis = new_chat_server
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    listener = EventSource(alice, chat)
    postgres_server.stop()
    redis.stop()
    redis.start()
    eventually(lambda: "The subscription in Redis stands again" in server.output())  # the stream looks for what it missed
    eventually(lambda: is_known_to_be_away(server))
    postgres_server.start()
    eventually(lambda: alice.ask("/chat/prompt", id=chat, prompt="again", otr="true").status_code == 200, within=10)
    assert listener.next()["message"]["prompt"] == "again" and not listener.closed.is_set()
    listener.close()
