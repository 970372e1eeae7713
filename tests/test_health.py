"""/healthz and /readyz: what they say while a store is away, and what they leave behind."""
import pytest
import requests

from proxy_gpt.migrations import NEWEST
from tests.redis_server import RedisServer
from tests.server import error_of, eventually, execute_on_database


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """A Redis of these tests alone."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(start, backend, new_database, redis_server):
    """A server on each database, with Redis."""
    return start(DB_ADDRESS=new_database(backend), REDIS_ADDRESS=redis_server.url, WEB_CONCURRENCY="1")


def ready(server):
    """What anybody is told by /readyz."""
    return requests.get(f"{server.url}/readyz", timeout=5)


def once(server, check):
    """What is told as soon as the check says that it is the right thing."""
    return eventually(lambda: [said for said in [ready(server)] if check(said)])[0]


def is_ready(answer):
    """Whether all is well."""
    return answer.ok and answer.json()["status"] == "ready"


def test_everybody_may_ask_and_all_is_well(server):
    assert requests.get(f"{server.url}/healthz", timeout=5).json() == {"status": "ok"}
    answer = ready(server)
    checks = dict.fromkeys(("process", "database", "tables", "journal", "redis"), "ok")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": checks})
    assert [requests.head(server.url + path, timeout=5).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_a_store_that_is_not_there_makes_only_what_needs_it_wait(server, redis_server):
    redis_server.hang()
    answer = once(server, lambda said: said.json().get("status") == "degraded")
    redis_server.go_on()
    assert answer.elapsed.total_seconds() < 2.2
    assert answer.status_code == 200 and answer.json()["checks"]["redis"] == "away"
    once(server, is_ready)


def test_tables_of_another_version_are_named(server):
    execute_on_database(server.database, "UPDATE schema_version SET version = ?", NEWEST - 1)
    error = error_of(once(server, lambda said: not said.ok), 503)
    execute_on_database(server.database, "UPDATE schema_version SET version = ?", NEWEST + 1)
    answer = once(server, lambda said: said.ok)
    execute_on_database(server.database, "UPDATE schema_version SET version = ?", NEWEST)
    assert (error["param"], error["code"], "older" in error["message"]) == ("tables", "not_ready", True)
    assert (answer.json()["status"], answer.json()["checks"]["tables"]) == ("degraded", "newer")
    once(server, is_ready)


def test_only_what_is_not_well_leaves_an_event(server):
    for path in ("/healthz", "/readyz"):
        assert requests.get(server.url + path, timeout=5).ok
    refused = requests.post(f"{server.url}/healthz", timeout=5)
    server.event(refused)
    assert refused.status_code == 405
    probes = server.events(kind="probe")
    assert {(event["endpoint"], event["status"]) for event in probes} == {("/readyz", 503)} and "older" in probes[0]["message"]
    assert [event["method"] for event in server.events(endpoint="/healthz")] == ["POST"]
