"""The sums of what was used: always those of the events, once each, whatever is killed; as the command and /usage show them."""
import csv
import io
import json
import os
import signal
from datetime import date, timedelta
from decimal import Decimal

import pytest

from proxy_gpt.eventlog.record import COLUMNS, Record
from tests.admin import Admin
from tests.conftest import numbers
from tests.fake_openai import HANG_UP, answers
from tests.faults.load import Load
from tests.server import error_of, eventually, execute_on_database, query_database
from tests.test_eventlog_crashes import journal

COUNTS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "seconds", "cost")
SUMS = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in COUNTS)
OF_EVENTS = f"""
    SELECT substr(CAST(timestamp AS TEXT), 1, 10) AS day, user_id, COALESCE(team_id, '') AS team_id, model, COUNT(*) AS requests, {SUMS},
    SUM(CASE usage WHEN 'estimated' THEN 1 ELSE 0 END) AS estimated, SUM(CASE usage WHEN 'unknown' THEN 1 ELSE 0 END) AS unknown,
    SUM(CASE WHEN cost IS NULL THEN 1 ELSE 0 END) AS unpriced FROM events WHERE usage <> '' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
OF_DAYS = "SELECT * FROM usage_days ORDER BY day, user_id, team_id, model"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def call(person, number):
    """One call of some kind."""
    kind = number % 4
    if kind == 0:
        return person.post("/v1/audio/transcriptions", data=b'{"model":"whisper-1"}', headers={"Content-Type": "application/json"})
    path, body = (("/v1/chat/completions", CHAT), ("/v1/embeddings", {"input": "x"}), ("/v1/chat/completions", {**CHAT, "stream": True}))[kind - 1]
    return person.post(path, json=body)


def summed(server):
    """Whether each event is in the sums exactly once; returns them."""
    of_days = server.rows(OF_DAYS)
    return of_days == server.rows(OF_EVENTS) and of_days


@pytest.mark.parametrize("workers", ["sqlite", "postgres, redis and two workers"])
def test_the_sums_are_those_of_the_events_after_kills_under_load(start, new_database, upstream, workers, request):
    shared = {"REDIS_ADDRESS": request.getfixturevalue("redis_address"), "WEB_CONCURRENCY": "2"} if workers != "sqlite" else {}
    server = start(DB_ADDRESS=new_database(workers.partition(",")[0]), **shared)
    people = [server.person(name) for name in ("Alice", "Bob", "Charlie")]

    def act(number):
        people[number % 3].close()  # connections do not outlive a kill
        return call(people[number % 3], number)

    for _ in range(2):
        with Load(act, threads=6) as load:
            eventually(lambda: len(load.answers) > 60, within=20)
            os.kill(server.workers()[0], signal.SIGKILL)
            eventually(lambda: sum(answer is not None for _, answer, _ in load.answers) > 120, within=20)
    server.kill()
    server.start()
    asked, calls = len(upstream.questions), "SELECT COUNT(*) AS n FROM events WHERE endpoint LIKE ?"
    eventually(lambda: server.rows(calls, "/v1/%")[0]["n"] >= asked, within=10)
    sums = eventually(lambda: summed(server))
    assert asked <= sum(line["requests"] for line in sums) and {line["user_id"] for line in sums} == {person.id for person in people}
    assert {row["usage"] for row in server.events(outcome="interrupted")} <= {"estimated", "unknown"}


def test_a_journal_that_is_read_again_is_summed_once(start, database, tmp_path):
    server = start(tmp_path, DB_ADDRESS=database)
    server.kill()
    rows = [Record("POST", f"/v1/left/{number}").row(user_id="u", usage="exact", input_tokens=5, model="m") for number in range(3)]
    lines = b"".join(b"O" + json.dumps(row).encode() + b"\n" for row in rows)
    for end, there in ((len(lines) // 2, 1), (None, 3)):  # the first time, two of the lines were not yet there
        next(path for path in journal(server)).write_bytes(lines[:end])
        server.start()
        eventually(lambda there=there: server.rows("SELECT COUNT(*) AS n FROM events WHERE model = 'm'")[0]["n"] == there)
        server.kill()
    (line,) = server.rows("SELECT * FROM usage_days WHERE model = 'm'")
    assert (line["requests"], line["input_tokens"], line["unpriced"], line["cost"]) == (3, 15, 3, 0)


def test_events_that_an_older_version_left_in_its_journal_arrive(start, database, tmp_path):
    server = start(tmp_path, DB_ADDRESS=database)
    server.kill()
    rows = [Record("POST", f"/left/{number}").row()[: COLUMNS.index("team_id")] for number in range(2)]
    kinds = (b"O", b"I")
    next(path for path in journal(server)).write_bytes(b"".join(kind + json.dumps(row).encode() + b"\n" for kind, row in zip(kinds, rows, strict=True)))
    server.start()
    query = "SELECT outcome, usage, cost, team_id FROM events WHERE endpoint LIKE ? ORDER BY endpoint"
    events = eventually(lambda: len(found := query_database(database, query, "/left/%")) == 2 and found)
    assert [tuple(event.values()) for event in events] == [("complete", "", None, None), ("interrupted", "", None, None)]


@pytest.fixture(scope="module")
def house(backend, start, new_database, the_upstream):
    """A server on each database where Alice's team has used something: who is who, and the command for it."""
    server = start(DB_ADDRESS=new_database(backend))
    alice, bob, charlie = (server.person(name) for name in ("Alice", "Bob", "Charlie"))
    team = alice.ask("/team/create", name="ours", user_ids=bob.id).json()["id"]
    for number in range(4):
        call(alice, number)
    headers = {"x-proxy-team": team}
    the_upstream.script(HANG_UP)
    bob.post("/v1/chat/completions", json=CHAT, headers=headers)
    last = bob.post("/v1/chat/completions", json={**CHAT, "model": "ours", "stream": True}, headers=headers)
    server.event(charlie.post("/v1/audio/speech", json={"model": "tts-1"}))
    server.event(last)
    day = date.fromisoformat(eventually(lambda: summed(server))[0]["day"])
    for days in (29, 30):  # as if it had been used so many days ago, by somebody who is gone
        values = (str(day - timedelta(days=days)), "gone", "", "gpt-old", 7, 100, 10, 50, 5, 0, 3_000_000_000, 1, 1, 2)
        execute_on_database(server.database, f"INSERT INTO usage_days VALUES ({', '.join('?' * len(values))})", *values)
    people = {"alice": alice, "bob": bob, "charlie": charlie}
    return {**people, "server": server, "team": team, "day": day, "admin": Admin(server.folder, server.database)}


KEYS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "seconds", "cost", "estimated", "unknown", "unpriced")
TOLD = -(-len(json.dumps(CHAT)) // 4)  # the tokens that this request is estimated to be
TOLD_STREAM = [-(-len(json.dumps({**CHAT, "stream": True, **more})) // 4) for more in ({}, {"model": "ours"})]
SAID = -(-len("You said: Hello") // 4)
BILLION = Decimal(10**9)
ALICES = (4, 24 + 5 + TOLD_STREAM[0], 16, 68 + SAID, 8, 12, (1_200_000 + 43200 + 100 + 150 * TOLD_STREAM[0] + 600 * SAID) / BILLION, 1, 0, 0)
BOBS = (2, TOLD + TOLD_STREAM[1], 0, SAID, 0, 0, (150 * (TOLD + TOLD_STREAM[1]) + 600 * SAID) / BILLION, 2, 0, 0)
CHARLIES = (1, 0, 0, 0, 0, 0, 0, 0, 1, 1)
OLD = (7, 100, 10, 50, 5, 0, 3, 1, 1, 2)


def figures(line):
    """The sums of a line; its cost is an exact text."""
    return tuple(Decimal(line[key]) if key == "cost" else line[key] for key in KEYS)


def shown(house, *options):
    """What the command says in JSON."""
    return json.loads(house["admin"].ok("usage", *options, "--json"))


def test_the_command_sums_up_the_last_thirty_days_by_user(house):
    report = shown(house)
    assert {line["user_name"]: figures(line) for line in report["usage"]} == {"Alice": ALICES, "Bob": BOBS, "Charlie": CHARLIES, "": OLD}
    assert {line["user"] for line in report["usage"]} == {*(house[name].id for name in ("alice", "bob", "charlie")), "gone"}
    assert figures(report["total"]) == tuple(map(sum, zip(ALICES, BOBS, CHARLIES, OLD, strict=True)))
    wanted = ("USD", ["user"], str(house["day"] - timedelta(days=29)), str(house["day"]))
    assert tuple(report[key] for key in ("currency", "by", "since", "until")) == wanted


def test_the_command_sums_up_by_team_model_and_day_and_within_these(house):
    (alone, ours) = shown(house, "--by", "team", "--since", "1d")["usage"]
    assert (alone["team"], alone["team_name"], figures(alone)) == ("", "", CHARLIES)
    assert (ours["team"], ours["team_name"], ours["requests"]) == (house["team"], "ours", 6)
    models = shown(house, "--by", "model", "--by", "day", "--team", house["team"])["usage"]
    assert [(line["model"], line["requests"]) for line in models] == [
        ("gpt-4o-mini", 1), (answers.MODEL, 3), ("text-embedding-3-small", 1), ("whisper-1", 1)
    ]  # fmt: skip
    assert {line["day"] for line in models} == {str(house["day"])}
    days = shown(house, "--by", "day", "--model", "gpt-old", "--since", str(house["day"] - timedelta(days=30)), "--until", "30d")["usage"]
    assert [(line["day"], figures(line)) for line in days] == [(str(house["day"] - timedelta(days=days)), OLD) for days in (30, 29)]
    assert figures(shown(house, "--user", "ALICE")["total"]) == ALICES
    assert shown(house, "--user", house["bob"].id, "--model", "nothing")["usage"] == []


def test_the_table_has_titles_aligned_figures_and_a_total(house):
    done = house["admin"].run("usage", "--by", "user", "--by", "model")
    title, *lines, total = done.stdout.splitlines()
    assert title.split() == ["USER", "USER", "NAME", "MODEL", "REQUESTS", "INPUT", "CACHED", "OUTPUT", "REASONING", "SECONDS", "COST", "USD",
                             "ESTIMATED", "UNKNOWN", "UNPRICED"]  # fmt: skip
    assert len(lines) == 7 and lines[-1].split() == ["gone", "gpt-old", "7", "100", "10", "50", "5", "0", "3.00", "1", "1", "2"]
    assert total.split()[:3] == ["total", "14", str(ALICES[1] + BOBS[1] + OLD[1])] and len({len(line) for line in (title, *lines, total)}) == 1
    assert done.returncode == 0 and str(house["day"]) in done.stderr


def test_comma_separated_values_can_be_read_again(house):
    lines = list(csv.DictReader(io.StringIO(house["admin"].ok("usage", "--by", "user", "--csv"))))
    assert [line["user_name"] for line in lines] == [line["user_name"] for line in shown(house)["usage"]]
    assert Decimal(lines[0]["cost"]) == ALICES[6] and int(lines[0]["input_tokens"]) == ALICES[1]


def test_what_a_spreadsheet_would_compute_is_text_there_and_a_small_cost_is_exact(house):
    values = ("2000-01-01", house["server"].person("=1+1").id, "", '=HYPERLINK("http://x")', *[0] * 6, 100, 0, 0, 0)
    execute_on_database(house["server"].database, f"INSERT INTO usage_days VALUES ({', '.join('?' * len(values))})", *values)
    lines = house["admin"].ok("usage", "--by", "user", "--by", "model", "--since", values[0], "--until", values[0], "--csv")
    (line,) = csv.DictReader(io.StringIO(lines))
    assert (line["user_name"], line["model"], line["cost"]) == ("'=1+1", "'" + values[3], "0.0000001")


REFUSED = [
    (("--since", "yesterday"), "since"), (("--until", "2026-02-30"), "until"), (("--since", "0d"), "since"), (("--since", "99999d", "--until", "99999d"), None),
    (("--since", "1d", "--until", "2d"), "until"), (("--user", "nobody"), "nobody"), (("--team", "none"), "none"), (("--since", "９d"), "since"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "named"), REFUSED)
def test_what_is_no_day_user_or_team_is_refused(house, options, named):
    if named is None:
        assert shown(house, *options)["usage"] == []
    else:
        assert named in house["admin"].refused("usage", *options)


def test_an_unusable_table_of_prices_is_named_by_the_command_too(house):
    assert "PRICES" in house["admin"].refused("usage", PRICES="/nowhere.toml")


def test_one_sees_ones_own_use(house):
    report = house["alice"].get("/usage?by=model,day&since=1d").json()
    assert sum(line["requests"] for line in report["usage"]) == 4 and figures(report["total"]) == ALICES and report["currency"] == "USD"
    assert {line["model"] for line in report["usage"]} == {answers.MODEL, "text-embedding-3-small", "whisper-1"}
    assert house["bob"].ask("/usage", by="team").json()["usage"][0]["team_name"] == "ours"
    assert [line["day"] for line in house["charlie"].get("/usage").json()["usage"]] == [str(house["day"])]
    for wrong, param in (({"by": "user"}, "by"), ({"by": "week"}, "by"), ({"since": "x"}, "since"), ({"until": "2d", "since": "1d"}, "until")):
        assert error_of(house["bob"].ask("/usage", **wrong), 400)["param"] == param


def test_the_owner_sees_the_teams_and_nobody_else_does(house):
    report = house["alice"].ask("/usage", team_id=house["team"], by="user").json()
    assert {line["user_name"]: figures(line) for line in report["usage"]} == {"Alice": ALICES, "Bob": BOBS}
    assert error_of(house["bob"].ask("/usage", team_id=house["team"]), 403)["code"] == "forbidden"
    for team in (house["team"], "none"):
        assert error_of(house["charlie"].ask("/usage", team_id=team), 404)["param"] == "team_id"


def test_who_has_left_is_counted_but_not_named(proxy, tmp_path, upstream):
    owner, member = proxy.person(f"owner {next(numbers)}"), proxy.person(f"member {next(numbers)}")
    team = owner.ask("/team/create", name="theirs", user_ids=member.id).json()["id"]
    proxy.event(member.post("/v1/embeddings", json={"input": "x"}, headers={"x-proxy-team": team}))
    owner.ask("/team/members/remove", team_id=team, user_ids=member.id)
    (seen_by_owner,) = owner.ask("/usage", team_id=team, by="user").json()["usage"]
    (seen_by_himself,) = member.ask("/usage", by="team").json()["usage"]
    assert (seen_by_owner["user"], seen_by_owner["user_name"], seen_by_owner["requests"]) == (member.id, "", 1)
    assert (seen_by_himself["team"], seen_by_himself["team_name"], seen_by_himself["requests"]) == (team, "", 1)
    for name in ("theirs", ""):
        (seen_by_operator,) = shown({"admin": Admin(tmp_path, proxy.database)}, "--by", "user", "--by", "team", "--team", team)["usage"]
        assert (seen_by_operator["user_name"], seen_by_operator["team_name"], seen_by_operator["requests"]) == (member.name, name, 1)
        owner.ask("/team/delete", id=team)  # the second time it is gone
