"""How often a wrong password may be tried and accounts be made: counted in memory, or in Redis for two processes as for one."""
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import numbers
from tests.redis_server import RedisServer
from tests.server import Pair, error_of, eventually, sign_up

FAILURES, FAILURES_ADDRESS = 2, 6
LIMITS = {"LOGIN_FAILURES": str(FAILURES), "LOGIN_FAILURES_ADDRESS": str(FAILURES_ADDRESS)}


@pytest.fixture(scope="module", params=["memory", "two processes"])
def server(request, start, new_database):
    """A server with little patience; two that count together."""
    shared = {"DB_ADDRESS": new_database("sqlite"), **LIMITS}
    if request.param == "memory":
        return start(**shared)
    shared |= {"REDIS_ADDRESS": request.getfixturevalue("redis_address"), "WEB_CONCURRENCY": "1"}
    return Pair(start(**shared), start(**shared))


@pytest.fixture
def eve(server):
    """Somebody whose password is being guessed."""
    return sign_up(server, f"Eve {next(numbers)}")


@pytest.fixture
def address():
    """A function that makes addresses nobody has been at."""
    return lambda: f"10.{os.getpid() % 250}.{next(numbers) // 250 % 250}.{next(numbers) % 250}"


def log_in(server, name, password, address):
    """A login from an address, as the trusted proxy in front would tell of it."""
    fields = {"username": name, "password": password}
    return requests.post(f"{server.url}/user/login", data=fields, headers={"X-Forwarded-For": address}, timeout=10)


def guess(server, name, address, times):
    """The statuses of so many wrong passwords."""
    return [log_in(server, name, "wrong", address).status_code for _ in range(times)]


def test_who_guesses_from_one_address_is_stopped_there(server, eve, address):
    here = address()
    assert guess(server, eve.name, here, FAILURES) == [401] * FAILURES
    refused = log_in(server, eve.name.upper(), "wrong", here)  # the same account, whatever its case
    error = error_of(refused, 429)
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_error", "rate_limit_exceeded", None)
    assert 0 < int(refused.headers["Retry-After"]) <= 301
    assert log_in(server, eve.name, eve.password, here).status_code == 429  # else a guess would show that it was right
    event = server.event(refused)
    assert (event["kind"], event["outcome"], event["status"], event["client_ip"]) == ("login", "refused", 429, here)
    assert log_in(server, eve.name, eve.password, address()).status_code == 200
    assert eve.get("/user/session").status_code == 200


def test_ones_own_logins_do_not_count_and_those_in_vain_do(server, eve, address):
    here = address()
    for _ in range(2):
        assert [log_in(server, eve.name, eve.password, here).status_code for _ in range(FAILURES + 1)] == [200] * (FAILURES + 1)
        assert guess(server, eve.name, here, 1) == [401]
    assert log_in(server, eve.name, eve.password, here).status_code == 429


def test_a_name_that_nobody_has_is_treated_like_one_that_somebody_has(server, address):
    here = address()
    assert guess(server, f"nobody {next(numbers)}", here, FAILURES + 1) == [401] * FAILURES + [429]


def test_who_tries_a_password_on_everybody_is_stopped_but_not_who_was_there_before(server, eve, address):
    here = address()
    assert log_in(server, eve.name, eve.password, here).status_code == 200
    names = [f"nobody {next(numbers)}" for _ in range(FAILURES_ADDRESS)]
    assert [log_in(server, name, "wrong", here).status_code for name in names] == [401] * FAILURES_ADDRESS
    stranger = server.person(f"stranger {next(numbers)}")
    assert "your address" in error_of(log_in(server, stranger.name, stranger.password, here), 429)["message"]
    assert log_in(server, eve.name, eve.password, here).status_code == 200


def test_who_guesses_from_many_addresses_is_stopped_and_does_not_lock_the_user_out(server, eve, address):
    home = address()
    assert log_in(server, eve.name, eve.password, home).status_code == 200
    signed_up = "127.0.0.1"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: log_in(server, eve.name, "wrong", address()).status_code, range(FAILURES * 10)))
    assert answers == [401] * FAILURES * 10
    assert log_in(server, eve.name, eve.password, address()).status_code == 429
    for known in (home, signed_up):
        assert log_in(server, eve.name, eve.password, known).status_code == 200


def test_the_addresses_of_one_ipv6_network_are_one(server, eve):
    network = f"2001:db8:{next(numbers):x}:1:"
    assert [log_in(server, eve.name, "wrong", f"{network}:{host}").status_code for host in range(FAILURES + 1)] == [401] * FAILURES + [429]


@pytest.mark.parametrize("spelled", ["{}:4711", '"[::ffff:{}]:{port}"', "{},", "{}, unknown"])
def test_who_guesses_behind_a_front_with_odd_entries_locks_nobody_else_out_there(server, eve, address, spelled):
    guessing, at_home = address(), address()
    tries = [log_in(server, eve.name, "wrong", spelled.format(guessing, port=4000 + number)) for number in range(FAILURES + 1)]
    assert [answer.status_code for answer in tries] == [401] * FAILURES + [429]
    assert log_in(server, eve.name, eve.password, spelled.format(at_home, port=1)).status_code == 200


def test_guessing_many_at_once_is_no_faster(server, eve, address):
    here = address()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: log_in(server, eve.name, "wrong", here).status_code, range(12)))
    assert set(answers) == {401, 429}
    assert answers.count(401) <= FAILURES + 3  # two hashes at once in each of two processes, the last of them too many


def test_a_stolen_token_cannot_be_used_to_guess_the_password(server, eve, address):
    headers = {"X-Forwarded-For": address()}
    answers = [
        eve.post("/user/password/update", data={"old_password": "wrong", "new_password": "x"}, headers=headers) for _ in range(FAILURES + 1)
    ]
    assert [answer.status_code for answer in answers] == [403] * FAILURES + [429]


def test_accounts_are_made_so_often_an_hour_from_one_address(start, address):
    server = start(SIGNUPS_PER_HOUR="3", SIGNUP="open")

    def sign_up(where, **fields):
        fields = {"username": f"person {next(numbers)}", "password": "pw", **fields}
        return requests.post(f"{server.url}/user/signup", data=fields, headers={"X-Forwarded-For": where}, timeout=10)

    here = address()
    assert sign_up(here, username="taken").status_code == 200
    in_vain = [sign_up(here, **fields).status_code for fields in ({"username": "taken"}, {"username": "\t"}, {"password": ""}) * 2]
    assert in_vain == [409, 400, 400] * 2  # no account was made
    assert [sign_up(here).status_code for _ in range(2)] == [200] * 2
    refused = sign_up(here)
    assert error_of(refused, 429) and 0 < int(refused.headers["Retry-After"]) <= 3601
    assert sign_up(address()).status_code == 200


def test_logins_go_on_while_redis_is_silent_and_are_counted_together_again_when_it_speaks(start, tmp_path, address):
    redis = RedisServer(tmp_path)
    server = start(REDIS_ADDRESS=redis.url, WEB_CONCURRENCY="1", **LIMITS)
    eve, here = server.person("Eve"), address()
    os.kill(redis.process.pid, signal.SIGSTOP)
    try:
        answers, longest = [], 0
        for _ in range(FAILURES + 1):
            begin = time.monotonic()
            answers.append(log_in(server, eve.name, "wrong", here).status_code)
            longest = max(longest, time.monotonic() - begin)
        assert answers == [401] * FAILURES + [429]
        assert log_in(server, eve.name, eve.password, address()).status_code == 200
        assert longest < 2
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
    eventually(lambda: guess(server, f"nobody {next(numbers)}", address(), 1) and redis.client.keys("proxy-gpt:limits:here/*"), within=10)
    redis.stop()
    assert log_in(server, eve.name, eve.password, address()).status_code == 200
    eventually(lambda: server.output().count("Redis does not count logins now") == 2)
    assert "Traceback" not in server.output()
