"""Limits while something fails: a worker is killed, PostgreSQL is away, Redis is away or comes back empty."""
import os
import signal
import threading

import pytest
import requests

from tests.limited import ask, limit
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.server import error_of, eventually

BOTH = "postgres and redis"
USED = 24 + 68  # tokens that the fake upstream reports


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A PostgreSQL and a Redis of these tests alone."""
    postgres, redis = PostgresServer(), RedisServer(tmp_path_factory.mktemp("redis"))
    yield postgres, redis
    redis.stop()
    postgres.end()


@pytest.fixture(scope="module")
def server(request, start, stores):
    """A proxy on SQLite, on PostgreSQL, or on both stores."""
    settings = {} if request.param == "sqlite" else {"DB_ADDRESS": stores[0].url}
    if request.param == BOTH:
        settings |= {"REDIS_ADDRESS": stores[1].url, "WEB_CONCURRENCY": "1"}
    server = start(**settings)
    server.kind = request.param
    return server


def spender(server, name, **most):
    """Somebody with limits."""
    person = server.person(f"{name} on {server.kind}")
    limit(server, person, **most)
    return person


def message(answer):
    """The sentence of a refusal by a limit."""
    return error_of(answer, 429)["message"]


@pytest.mark.parametrize("server", ["sqlite", "postgres", BOTH], indirect=True)
def test_what_a_killed_worker_held_counts_as_reserved_when_the_next_one_starts(server, upstream):
    person = spender(server, "Eve", tokens_per_day=5000)
    upstream.script(threading.Event())
    asking = threading.Thread(target=lambda: pytest.raises(requests.ConnectionError, ask, person, 4900))
    asking.start()
    upstream.question()
    assert "5000 tokens held for calls under way" in message(ask(person, 100))
    os.kill(server.workers()[0], signal.SIGKILL)
    asking.join(20)
    eventually(lambda: server.events(user_id=person.id, outcome="interrupted"), within=20)
    # Its event estimates a hundred tokens in and none out. Nobody knows what the upstream went on to use.
    eventually(lambda: "; 5000 tokens used, and this call may need" in message(ask(person, 100)), within=20)


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_while_postgresql_is_away_nobody_with_limits_escapes_them(server, stores, upstream):
    free, limited = server.person("Free"), spender(server, "Frank", tokens_per_day=1000)
    assert free.get("/v1/models").status_code == 200 and ask(limited, 100).status_code == 200
    stores[0].stop()
    try:
        error_of(ask(limited, 100), 503)
        assert free.get("/v1/models").status_code == 200
    finally:
        stores[0].start()
    eventually(lambda: ask(limited, 100).status_code == 200, within=20)
    eventually(lambda: f"; {2 * USED} tokens used, and" in message(ask(limited, 900)), within=20)


@pytest.mark.parametrize("server", [BOTH], indirect=True)
@pytest.mark.parametrize("outage", ["is stopped", "hangs"])
def test_while_redis_is_away_the_database_counts_and_nothing_is_forgotten(server, stores, upstream, outage):
    redis = stores[1]
    person = spender(server, f"Grace, when it {outage},", tokens_per_day=1000)
    assert server.event(ask(person, 100))
    (redis.stop if outage == "is stopped" else redis.hang)()
    try:
        assert server.event(ask(person, 100))
        assert f"; {2 * USED} tokens used, and" in message(ask(person, 890))
    finally:
        (redis.start if outage == "is stopped" else redis.go_on)()
    eventually(lambda: server.output().count("Redis is back") >= server.output().count("Redis is away"), within=10)
    assert f"; {2 * USED} tokens used, and" in message(ask(person, 890))
    assert server.event(ask(person, 100))
    assert f"; {3 * USED} tokens used, and" in message(ask(person, 890))
    assert "Redis does not keep the limits now" in server.output()


@pytest.mark.parametrize("server", [BOTH], indirect=True)
def test_a_redis_that_was_emptied_counts_what_was_used(server, stores, upstream):
    person = spender(server, "Heidi", tokens_per_month=1000)
    assert server.event(ask(person, 100))
    stores[1].client.flushall()
    assert f"; {USED} tokens used, and" in message(ask(person, 890))
