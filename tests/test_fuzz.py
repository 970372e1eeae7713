"""Hypothesis drives every endpoint, as several people in any order, against a model of who may see what."""
import os
import re

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.client import Client
from tests.fuzz.nonsense import ENDPOINTS, Everybody
from tests.test_readme import routes

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
# A failure is shown as it came: to make it small takes minutes. Take the phases away to see it small.
SHORT = settings(max_examples=20, stateful_step_count=25, derandomize=True, phases=[Phase.generate], **COMMON)
LONG = settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "400")), stateful_step_count=50, print_blob=True, **COMMON)
# Nobody is to be refused for coming often.
UNLIMITED = {
    "LOGIN_FAILURES": "100000", "LOGIN_FAILURES_ADDRESS": "1000000", "SIGNUPS_PER_HOUR": "1000000", "STREAMS_PER_USER": "10000",
}  # fmt: skip
FAULT = re.compile("A fault of the proxy|Traceback|Exception|CRITICAL")


def drive(server, how):
    """Let the people loose on a server. Returns how many requests they made."""
    client = Client(server)
    people = [server.person(name) for name in ("Alice", "Bob", "Charlie")]
    machine = type("Fuzz", (Everybody,), {"client": client, "people": people})
    run_state_machine_as_test(machine, settings=how)
    assert FAULT.findall(server.output()) == []
    return client.total


def test_people_who_ask_anything_in_any_order_get_what_the_model_says(start):
    assert drive(start(**UNLIMITED), SHORT) >= 500


@pytest.mark.long
@pytest.mark.parametrize("backend", ["sqlite and memory", "postgres and redis"])
def test_they_do_all_night(start, new_database, request, backend, capsys):
    settings = dict(UNLIMITED)
    if backend == "postgres and redis":
        settings |= {"DB_ADDRESS": new_database("postgres"), "REDIS_ADDRESS": request.getfixturevalue("redis_address"), "WEB_CONCURRENCY": "2"}
    asked = drive(start(**settings), LONG)
    with capsys.disabled():
        print(f"\n{backend}: {asked} requests")
    assert asked >= 20_000


def test_every_endpoint_is_among_those_asked():
    assert set(ENDPOINTS) == {path for path in routes() if path.startswith(("/user/", "/chat/", "/team/", "/usage"))}
