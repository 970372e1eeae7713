"""Callers at once never use more than a cap and what they used beyond their reservations, and can use all of it.

On SQLite, on PostgreSQL with two processes and the ledger in it, and with two processes and the ledger in Redis.
"""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.limited import MeteredOpenAI, ask, known_anew, limit
from tests.server import Pair, error_of

CALLERS = 8
IN = 100  # tokens of each body
MOST = 200  # calls in all, should there be no limit
names = iter(range(10_000))


@pytest.fixture(scope="module")
def metered():
    """An upstream that uses what was reserved, or more."""
    server = MeteredOpenAI()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["sqlite", "two processes on postgres", "two processes on postgres and redis"])
def server(request, start, new_database, metered):
    """One or two servers."""
    shared = {"DB_ADDRESS": new_database("sqlite" if request.param == "sqlite" else "postgres"), "API_URL": metered.url, "WEB_CONCURRENCY": "1"}
    if request.param.endswith("redis"):
        shared["REDIS_ADDRESS"] = request.getfixturevalue("redis_address")
    servers = [start(**shared) for _ in range(1 if request.param == "sqlite" else 2)]
    return Pair(*servers) if len(servers) == 2 else servers[0]


def spender(server, whose, **most):
    """Somebody new who has these limits, or whose team has."""
    person = server.person(f"Spender {next(names)}")
    if whose == "team":
        limit(server, f"team:{person.ask('/team/create', name='spenders').json()['id']}", **most)
        return known_anew(person)
    limit(server, person, **most)
    return person


def all_at_once(person, most):
    """How many calls of so many tokens out pass, when callers go on until nothing but what is used refuses them."""
    passed = []

    def call():
        while len(passed) < MOST:
            answer = ask(person, most)
            if answer.status_code == 200:
                passed.append(answer)
            elif error_of(answer, 429) and answer.headers.get("Retry-After") != "1":  # what is held may be free in a moment
                return

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return len(passed)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(most=st.integers(0, 400), calls=st.integers(0, 30), rest=st.integers(0, 99), whose=st.sampled_from(["user", "team"]),
       period=st.sampled_from(["day", "month"]))  # fmt: skip
def test_callers_at_once_use_all_of_a_cap_and_no_more(server, metered, most, calls, rest, whose, period):
    each = IN + most
    person = spender(server, whose, **{f"tokens_per_{period}": calls * each + rest})
    metered.forget()
    assert all_at_once(person, most) == calls == len(metered.questions)


def test_beyond_a_cap_is_only_what_calls_in_flight_use_beyond_their_reservations(server, metered):
    cap, reserved, more = 2000, IN + 100, 300
    person = spender(server, "team", tokens_per_day=cap)
    metered.forget()
    metered.more = more
    try:
        passed = all_at_once(person, 100)
    finally:
        metered.more = 0
    assert passed == len(metered.questions)
    in_flight = CALLERS if "REDIS_ADDRESS" in server.environment else cap // reserved  # the database settles some moments later
    assert cap - reserved < passed * (reserved + more) <= cap + in_flight * more


def test_requests_are_shared_out_exactly_however_many_come_at_once(server, metered):
    person = spender(server, "team", requests_per_minute=10)
    minute = time.time() // 60
    with ThreadPoolExecutor(CALLERS) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: ask(person, 1), range(30))]
    if time.time() // 60 != minute:
        pytest.skip("a minute has just begun")
    assert sorted(statuses) == [200] * 10 + [429] * 20
