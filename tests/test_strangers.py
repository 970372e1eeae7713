"""What requests without a valid credential can use up of the log: few rows and lines, and a count of the rest."""
import re
import threading
import time

import pytest
import requests

from proxy_gpt.eventlog import strangers
from proxy_gpt.eventlog.record import COLUMNS, Record
from tests.held import PYTHONPATH
from tests.server import BIN, eventually
from tests.wire import Wire, bearer

SHORT_MINUTE = (BIN / "proxy-gpt", "--config", "python:tests.short_minute_conf")
COUNT = re.compile(r"(\d+) more requests? without a valid token came from (?:this address|other addresses) in this minute\.")
MANY = 130
HERE, THERE = "127.0.0.5", "127.0.0.6"


def ask(server, source, method, target, *headers, body=None):
    """The status of a request from an address of this machine."""
    with Wire(server, source=source) as wire:
        status, headers = wire.ask(method, target, *headers, body=body)
        assert wire.body(headers)[1]
        return status


def behind(address):
    """What a front adds."""
    return {"X-Forwarded-For": address}


def rows_and_counts(server, address):
    """(the rows of strangers, the numbers in the rows that count) of an address."""
    events = [event for event in server.events(client_ip=address) if event["user_id"] is None]
    counts = [event for event in events if COUNT.fullmatch(event["message"])]
    assert {(event["kind"], event["outcome"], event["endpoint"]) for event in counts} <= {("request", "refused", "")}
    return [event for event in events if event not in counts], [int(COUNT.fullmatch(event["message"])[1]) for event in counts]


def rows_of(server, address, sent):
    """The rows of an address from which strangers sent so many requests. A new minute may have begun meanwhile, once."""
    rows, counts = rows_and_counts(server, address)
    assert len(rows) + sum(counts) == sent and 60 <= len(rows) <= 120 and 1 <= len(counts) <= 2
    assert server.output().count(f"ip={address} ") == len(rows) + len([event for event in server.events(client_ip=address) if event["user_id"]])
    return rows


def test_a_flood_of_long_paths_leaves_sixty_short_rows_a_minute_and_their_number(start):
    server = start()
    eve = server.person("Eve")
    request = f"GET /v1/{'p' * 4000}?{'q' * 4000} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with Wire(server, source=HERE) as wire:
        flood = threading.Thread(target=wire.send, args=(request * MANY,))
        flood.start()
        assert {wire.error()[0] for _ in range(MANY)} == {401}
        flood.join()
        for _ in range(70):
            assert wire.body(wire.ask("GET", "/user/session", bearer(eve))[1])[1]
    assert [ask(server, THERE, "GET", f"/v1/{'p' * length}?{'q' * length}") for length in (10, 200)] == [401, 401]
    counted = f'requests_total{{endpoint="v1",method="GET",status="401"}} {MANY + 2}.0'
    eventually(lambda: counted in requests.get(f"{server.url}/metrics", timeout=5).text)
    server.stop()
    assert [(len(event["endpoint"]), event["params"]) for event in rows_of(server, HERE, MANY)] == [(300, "")] * len(rows_of(server, HERE, MANY))
    assert len(server.events(user_id=eve.id)) == 70  # a user's own are never counted away
    rows, counts = rows_and_counts(server, THERE)
    assert [(len(event["endpoint"]), len(event["params"])) for event in rows] == [(14, 10), (204, 96)] and counts == []


def test_what_is_not_http_is_counted_too_and_leaves_no_more_warnings_than_rows(start):
    server = start()
    for _ in range(MANY):
        with Wire(server, source=HERE) as wire:
            wire.send(b"nonsense " + b"x" * 9000 + b"\r\n\r\n")
            assert wire.error()[0] == 414
    server.stop()
    rows = rows_of(server, HERE, MANY)
    assert server.output().count(f"A connection from {HERE} ends with status 414") == len(rows)


FAILURES = {
    "wrong passwords": ("/user/login", {"username": "eve", "password": "wrong"}, {401, 429}),
    "sign-ups that are refused": ("/user/signup", {"username": "eve", "password": "x"}, {403}),
    "missing fields": ("/user/login", {}, {400}),
    "wrong tokens": ("/chat/stream", {"id": "x" * 5000, "token": "wrong"}, {401}),
}


@pytest.fixture(scope="module")
def closed_server(start):
    """A server at which nobody can sign up, stopped when its failures have been caused, each at an address of its own."""
    server = start(SIGNUP="closed", LOGIN_FAILURES="1")  # so that few passwords are hashed
    for number, (path, fields, statuses) in enumerate(FAILURES.values(), 1):
        with requests.Session() as session:
            answers = [session.post(server.url + path, data=fields, headers=behind(f"2001:db8:0:{number}::{host:x}")) for host in range(MANY)]
        assert {answer.status_code for answer in answers} == statuses
    server.stop()
    return server


@pytest.mark.parametrize("case", FAILURES)
def test_every_kind_of_refusal_is_counted_and_all_of_an_ipv6_network_together(closed_server, case):
    number = [*FAILURES].index(case) + 1
    events = closed_server.rows("SELECT * FROM events WHERE client_ip LIKE ?", f"2001:db8:0:{number}:%")
    counts = [event for event in events if COUNT.fullmatch(event["message"])]
    assert {event["client_ip"] for event in counts} == {f"2001:db8:0:{number}::/64"}
    assert len(events) - len(counts) + sum(int(COUNT.fullmatch(event["message"])[1]) for event in counts) == MANY
    assert all(len(event["request"]) <= 300 for event in events) and 60 <= len(events) - len(counts) <= 120


def test_a_minute_that_is_over_is_told_without_another_request_and_by_the_next_one(start):
    server = start(command=SHORT_MINUTE, PYTHONPATH=PYTHONPATH)
    with Wire(server, source=HERE) as wire:
        wire.send(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert {wire.error()[0] for _ in range(1000)} == {404}

    def told():
        rows, counts = rows_and_counts(server, HERE)
        return counts and len(rows) + sum(counts) == 1000

    eventually(told, within=10)
    counts = [event for event in server.events(client_ip=HERE) if COUNT.fullmatch(event["message"])]
    rows = [event for event in server.events(client_ip=HERE) if event not in counts]
    assert rows[0]["timestamp"] < counts[0]["timestamp"]  # it takes the place of the first request that has no row


@pytest.mark.parametrize("policy", ["metadata", "none"])
def test_where_less_is_kept_the_number_is_told_all_the_same(start, policy):
    server = start(CAPTURE=policy)
    with Wire(server, source=HERE) as wire:
        wire.send(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * MANY)
        assert {wire.error()[0] for _ in range(MANY)} == {404}
    server.stop()
    events = [event for event in server.events(status=404) if event["status"]]
    counts = [event for event in server.events() if COUNT.fullmatch(event["message"])]
    assert len(events) + sum(int(COUNT.fullmatch(event["message"])[1]) for event in counts) == MANY
    assert {event["client_ip"] for event in counts} == {HERE if policy == "metadata" else ""} and {event["message"] for event in events} == {""}


def test_more_addresses_than_are_remembered_share_one_count(monkeypatch):
    monkeypatch.setattr(strangers, "MOST_ADDRESSES", 3)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    counting = strangers.Strangers()
    kept = [counting.admit(Record(client_ip=f"10.0.0.{number % 50}")) for number in range(1000)]
    assert len(counting.seen) == 4 and sum(kept) == 3 * 20 + 60
    counting.end()
    (_, row), = counting.take(10)
    message = dict(zip(COLUMNS, row, strict=True))["message"]
    assert message == f"{1000 - sum(kept)} more requests without a valid token came from other addresses in this minute."
    assert counting.take(10) == [] and counting.seen == {}
