"""The policy of what the event log keeps: of a user's requests, at each group of endpoints, in the table and in the files on disk."""
import contextlib
import re
import time

import pytest
import requests

from proxy_gpt.eventlog.journal import parse
from proxy_gpt.eventlog.policy import may_keep
from proxy_gpt.eventlog.record import COLUMNS, DEFAULTS
from tests.admin import Admin
from tests.conftest import numbers
from tests.server import eventually
from tests.subscriber import EventSource, WebSocket

TOLD = "only between us"  # in each place where a caller can write something
PATH = TOLD.replace(" ", "%20")


@pytest.fixture(scope="module")
def server(backend, start, new_database):
    """A server on each database."""
    return start(DB_ADDRESS=new_database(backend))


@pytest.fixture(scope="module")
def admin(server, tmp_path_factory):
    """The command for its database."""
    return Admin(tmp_path_factory.mktemp("admin"), server.database)


def everywhere(person):
    """Ask each group of endpoints, in good ways and in bad ones; the number of events that it makes."""
    said = {"model": TOLD, "messages": [{"role": "user", "content": TOLD}]}
    with contextlib.ExitStack() as listeners:
        team = person.ask("/team/create", name="ours", description=TOLD).json()["id"]
        chat = person.ask("/chat/create", name=TOLD, team_id=team).json()["id"]
        for kind in (EventSource, WebSocket):
            listeners.callback(kind(person, chat, note=TOLD).close)
        answers = [
            person.post(f"/v1/chat/completions?note={PATH}", json=said), person.post("/v1/chat/completions", json={**said, "stream": True}),
            person.get(f"/v1/{PATH}"), person.post("/v1/..%2f" + PATH), person.post("/v1/embeddings", data=iter([TOLD.encode()])),
            person.ask("/chat/prompt", id=chat, prompt=TOLD), person.ask("/chat/prompt", id=chat, prompt=TOLD, stream="true"),
            person.ask("/chat/prompt", id=chat, prompt=TOLD, otr="true"), person.ask("/chat/prompt", id=TOLD, prompt=TOLD),
            person.get(f"/chat/read?id={chat}&x={PATH}"), person.ask("/team/members/add", team_id=team, usernames=TOLD),
            person.ask("/user/update", first_name=TOLD), person.get(f"/nothing/{PATH}"), person.ask(f"/user/session?x={PATH}", first_name=TOLD),
            person.ask("/user/password/update", old_password="x", new_password="y"),
            person.ask("/user/login", username=person.name, password=person.password, note=TOLD),
        ]  # fmt: skip
    return [answer.status_code for answer in answers], len(answers) + 4


def kept_of(server, person, since):
    """The events of somebody, from this id on."""
    return [event for event in server.events(user_id=person.id) if event["id"] > since]


@pytest.mark.parametrize("policy", ["metadata", "none"])
def test_nothing_that_may_not_be_kept_is_in_any_row_or_file(server, admin, upstream, policy):
    person = server.person(f"private {policy}")
    admin.ok("capture", person.name, policy)
    assert policy in admin.ok("user", person.name)
    eventually(lambda: not server.event(person.get(f"/v1/models?x={policy}"))["params"], within=2)
    last, before = server.events()[-1]["id"], journal(server)
    said_before = len(server.output())
    statuses, count = everywhere(person)
    assert {200, 400, 403, 404} <= set(statuses) and 500 not in statuses
    eventually(lambda: len(kept_of(server, person, last)) >= count - 1)  # no such path has no caller
    events = kept_of(server, person, last)
    for event in events:
        kept = {name: value for name, value in event.items() if name in DEFAULTS and not may_keep(policy, name) and value != DEFAULTS[name]}
        assert kept == {}
        assert TOLD not in str({**event, "endpoint": "", "model": ""} if policy == "metadata" else event)
    assert sum(event["input_tokens"] or 0 for event in events) > 50 and sum(event["bytes_in"] for event in events) > 500
    assert {event["outcome"] for event in events} >= {"complete", "refused"} and all(event["duration"] > 0 for event in events)
    days = server.rows("SELECT * FROM usage_days WHERE user_id = ?", person.id)
    assert sum(day["requests"] for day in days) == len([event for event in server.events(user_id=person.id) if event["usage"]])
    assert {day["model"] for day in days} == {event["model"] for event in events if event["usage"]} and ({day["model"] for day in days} == {""}) == (policy == "none")
    assert any(event["endpoint"] == "/v1/chat/completions" and event["model"] for event in events) == (policy == "metadata")
    written = [row for row in journal(server) if row not in before and row["user_id"] == person.id]
    assert len(written) > count  # intents too
    for row in written:
        assert {name for name, value in row.items() if not may_keep(policy, name) and value != DEFAULTS[name]} == set()
        assert {name for name, value in row.items() if TOLD in str(value)} <= {"endpoint", "model"}
    eventually(lambda: server.output().count(person.id, said_before) >= count - 1)  # they are written some at a time
    lines = [line for line in server.output()[said_before:].splitlines() if person.id in line]
    assert len(lines) >= count - 1 and not any(TOLD in re.sub(r'(path|model)="[^"]*"', "", line) for line in lines)
    assert any("path=" in line for line in lines) == any(TOLD in line for line in lines) == (policy == "metadata")


def journal(server):
    """The rows in the server's journal: what is shipped stays in its file for some megabytes."""
    paths = [path for path in (server.folder / "proxy-journal").rglob("0*") if path.is_file()]
    return [dict(zip(COLUMNS, parse(line)[1], strict=True)) for path in paths for line in path.read_bytes().splitlines()]


def test_everything_is_kept_of_the_others_and_again_when_it_may_be(server, admin, upstream):
    person = server.person(f"open {next(numbers)}")
    for policy, wanted in (("none", False), ("full", True), ("none", False), ("default", True)):
        admin.ok("capture", person.id, policy)
        begin = time.monotonic()
        eventually(lambda wanted=wanted: (TOLD in server.event(person.post("/v1/thing", data=TOLD, headers={"Content-Type": "text/plain"}))["request"]) == wanted)
        assert time.monotonic() - begin < 1.5


def test_a_setting_says_what_is_kept_of_all_for_whom_nothing_else_is_chosen(start, tmp_path, upstream):
    server = start(CAPTURE="none")
    person = server.person("Eve")
    admin = Admin(tmp_path, server.database)
    for answer in (person.get(f"/v1/{PATH}"), requests.get(f"{server.url}/nothing/{PATH}", timeout=5), requests.get(f"{server.url}/{PATH}\x01", timeout=5)):
        event = server.event(answer)
        assert TOLD not in str(event) and (event["endpoint"], event["client_ip"]) == ("", "") and event["status"]
    admin.ok("capture", "eve", "full")
    eventually(lambda: TOLD in server.event(person.get(f"/v1/{PATH}"))["endpoint"], within=2)


def test_a_policy_that_there_is_not_is_refused(server, admin):
    assert "'some'" in admin.wrong("capture", "nobody", "some")
    assert "'nobody'" in admin.refused("capture", "nobody", "none")
