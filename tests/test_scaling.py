"""Several processes on one PostgreSQL and one Redis are as one; and within one, nobody waits for another's slow query."""
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
import requests

from tests.server import eventually
from tests.subscriber import EventSource, WebSocket


@pytest.fixture(scope="module")
def three(start, new_database, redis_address):
    """Three processes."""
    shared = {"DB_ADDRESS": new_database("postgres"), "REDIS_ADDRESS": redis_address, "WEB_CONCURRENCY": "1"}
    return [start(**shared) for _ in range(3)]


@pytest.fixture(scope="module")
def eve(three):
    """Somebody who signs up at the first."""
    return three[0].person("Eve")


def at(server, person, path, **fields):
    """What a person gets for a form sent to this server."""
    return requests.post(server.url + path, data=fields, headers={"Authorization": f"Bearer {person.token}"}, timeout=10)


def test_one_signs_in_at_one_prompts_at_another_and_listens_at_a_third(three, eve, upstream):
    first, second, third = three
    chat = eve.ask("/chat/create").json()["id"]
    listeners = [kind(eve, chat, url=third.url) for kind in (EventSource, WebSocket)]
    at(second, eve, "/chat/prompt", id=chat, prompt="hello from afar", stream="true")
    for listener in listeners:
        assert [message["message"]["reply"] for message in listener.until_whole()][-1] == "You said: hello from afar"
        listener.close()
    assert at(first, eve, "/chat/read", id=chat).json()["messages"][0]["status"] == "complete"


def test_a_token_that_is_logged_out_at_one_is_dead_at_the_others_within_a_second(three, eve):
    fields = {"username": eve.name, "password": eve.password}
    token = requests.post(f"{three[0].url}/user/login", data=fields, timeout=10).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}

    def statuses():
        return {requests.get(f"{server.url}/user/session", headers=headers, timeout=10).status_code for server in three}

    assert statuses() == {200}  # now all of them remember it
    assert requests.post(f"{three[0].url}/user/logout", headers=headers, timeout=10).status_code == 200
    eventually(lambda: statuses() == {401}, within=1)


def test_a_process_has_one_subscription_connection_however_many_listen(three, eve, redis_server):
    chats = [eve.ask("/chat/create").json()["id"] for _ in range(3)]
    before = len(redis_server.client.client_list(_type="pubsub"))
    listeners = [kind(eve, chat, url=server.url) for kind in (EventSource, WebSocket) for chat in chats for server in three]
    assert len(redis_server.client.client_list(_type="pubsub")) == before
    for listener in listeners:
        listener.close()


@pytest.fixture
def lock_on_the_user(three, eve):
    """A transaction that holds Eve's row for as long as the fixture lasts: who changes her waits."""
    with contextlib.closing(psycopg2.connect(three[0].database)) as connection:
        connection.cursor().execute("SELECT * FROM users WHERE id = %s FOR UPDATE", (eve.id,))
        yield connection


def test_a_query_that_waits_stops_nobody_elses_request(three, eve, lock_on_the_user):
    with ThreadPoolExecutor(1) as elsewhere:
        waiting = elsewhere.submit(at, three[0], eve, "/user/update", first_name="Eve")
        eventually(lambda: three[0].rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
        begin = time.monotonic()
        assert eve.get("/v1/models").status_code == eve.get("/user/session").status_code == 200
        assert time.monotonic() - begin < 1 and not waiting.done()
        lock_on_the_user.rollback()
        assert waiting.result().status_code == 200


def test_more_requests_than_connections_wait_their_turn_and_the_database_sees_no_more_than_the_bound(three, eve):
    with ThreadPoolExecutor(100) as crowd:
        answers = list(crowd.map(lambda _: at(three[0], eve, "/chat/index").status_code, range(300)))
    assert set(answers) == {200}
    assert three[0].rows("SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database()")[0]["number"] <= 3 * 21 + 1
