"""`proxy-admin events`, `event` and `prune`: what they print, what Ctrl-C leaves, and that the proxy beside them does not notice."""
import contextlib
import csv
import io
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.admin import COMMAND, Admin
from tests.bench.event_pages import IDS, NUMBERS
from tests.fake_openai import chunked, head
from tests.faults.load import Load
from tests.server import eventually, execute_on_database, sign_up

OLD = 1_750_000_000_000  # milliseconds: the time of what is put in behind the server's back
FILL = """
{numbers} INSERT INTO events (id, timestamp, kind, client_ip, user_id, method, endpoint, params, status, duration, request, response, message, model,
                    outcome, upstream_request_id, bytes_in, bytes_out, usage)
SELECT {id}, '2025-06-15T15:06:40.000000Z', 'request', '', '{user}', 'GET', '/old', '', 200, 0, '{text}', '', '', '', 'complete', '', 0, 0, '' FROM numbers
"""
starts = itertools.count(1, 10_000)  # so that no two get the same id
COLUMNS = ["id", "timestamp", "kind", "client_ip", "user_id", "method", "endpoint", "params", "status", "duration"]


@pytest.fixture(scope="module")
def server(backend, start, new_database):
    """A server on each database."""
    return start(DB_ADDRESS=new_database(backend))


@pytest.fixture(scope="module")
def admin(server, tmp_path_factory):
    """The command for its database."""
    return Admin(tmp_path_factory.mktemp("admin"), server.database)


@pytest.fixture(scope="module")
def alice(server):
    """Somebody there."""
    return server.person("Alice")


@pytest.fixture(scope="module")
def bob(server, alice):
    """Somebody else, who made five requests, of which one was refused."""
    bob = sign_up(server, "Bob")
    answers = [bob.post("/v1/embeddings", json={"model": "m", "input": f"=1+{number}\x1b[31m"}) for number in range(4)]
    server.event(bob.get("/chat/read?id=%1b[31mnowhere"))
    assert [answer.status_code for answer in answers] == [200] * 4
    return bob


def fill(server, count, user, text="x"):
    """Put in so many events of last year."""
    kind = "sqlite" if server.database.startswith("sqlite") else "postgres"
    first = next(starts)
    values = {"numbers": NUMBERS[kind].format(first=first, last=first + count - 1), "id": IDS[kind].format(ms=f"{OLD} + n"), "user": user, "text": text}
    execute_on_database(server.database, FILL.format(**values))


def ids(output):
    """The ids in JSON lines."""
    return [json.loads(line)["id"] for line in output.splitlines()]


def test_events_are_lines_newest_first_with_names_and_without_tricks(server, admin, bob):
    title, *lines = admin.ok("events", "--user", "BOB").splitlines()
    assert title.split() == ["ID", "TIME", "KIND", "STATUS", "OUTCOME", "USER", "METHOD", "ENDPOINT"]
    events = [event for event in server.events(user_id=bob.id)[::-1] if event["kind"] != "admin"]  # those of looking at him
    assert [line.split()[0] for line in lines] == [event["id"] for event in events]
    assert lines[0].split()[2:] == ["request", "404", "refused", "Bob", "GET", "/chat/read"] and lines[-1].split()[2] == "signup"
    for name, value in (("STATUS", "404"), ("USER", "Bob"), ("ENDPOINT", "/chat/read")):
        assert value in lines[0][title.index(name) :][: max(len(name), len(value)) + 6]


def test_filters_are_taken_together_and_pages_follow_each_other(server, admin, bob):
    wanted = [event["id"] for event in server.events(user_id=bob.id, endpoint="/v1/embeddings")[::-1]]
    assert ids(admin.ok("events", "--json", "--user", bob.id, "--endpoint", "/v1/*", "--status", "2xx", "--since", "1h", "--outcome", "complete")) == wanted
    done = admin.run("events", "--json", "--user", "bob", "--endpoint", "/v1/embeddings", "--limit", "3")
    assert ids(done.stdout) == wanted[:3] and done.stderr == f"There may be more: go on with --before {wanted[2]}\n"
    assert ids(admin.ok("events", "--json", "--user", "bob", "--endpoint", "/v1/embeddings", "--before", wanted[2])) == wanted[3:]
    assert ids(admin.ok("events", "--json", "--text", "=1+2", "--kind", "request")) == [wanted[1]]
    assert ids(admin.ok("events", "--json", "--user", "bob", "--until", "2020-01-01")) == []


def test_json_has_the_whole_row_and_one_event_is_shown_wholly(server, admin, bob):
    event = server.events(user_id=bob.id, endpoint="/v1/embeddings")[-1]
    (line,) = admin.ok("events", "--json", "--user", "bob", "--model", event["model"], "--text", "=1+3").splitlines()
    shown = json.loads(line)
    assert {**shown, "timestamp": ""} == {**event, "timestamp": ""} and shown["timestamp"].endswith("Z")
    assert json.loads(admin.ok("event", event["id"], "--json")) == shown
    text = admin.ok("event", event["id"])
    assert "\x1b" not in text and "\nendpoint " in text and f"\nrequest:\n{event['request']}\n" in text and "\nresponse:\n" in text
    assert "'nothing'" in admin.refused("event", "nothing")


def test_who_is_gone_is_found_by_id_and_a_name_that_nobody_has_is_not_taken_for_one(admin):
    for option in ("--user", "--team"):
        assert admin.ok("events", "--json", option, "01a2b3c4-0000-7000-8000-000000000000") == ""
        assert "'abe'" in admin.refused("events", option, "abe")


def test_csv_can_be_read_again_and_computes_nothing(server, admin, bob, alice):
    alice.post("/v1/embeddings", data='=HYPERLINK("http://x"),"a"\n', headers={"Content-Type": "text/plain"}).close()
    eventually(lambda: server.events(user_id=alice.id, endpoint="/v1/embeddings"))
    rows = list(csv.DictReader(io.StringIO(admin.ok("events", "--csv", "--endpoint", "/v1/embeddings", "--all"))))
    assert list(rows[0])[:10] == COLUMNS and len(rows) == 5
    assert rows[0]["request"] == '\'=HYPERLINK("http://x"),"a"\n' and json.loads(rows[1]["request"])["input"] == "=1+3\x1b[31m"


@pytest.mark.parametrize("arguments", [
    ("--status", "abc"), ("--status", "4x"), ("--status", "9xx"), ("--status", "600"), ("--before", "nothing"),
    ("--since", "yesterday"), ("--since", "999999999w"), ("--all", "--limit", "3"), ("--json", "--csv"), ("--follow", "--all"),
    ("--follow", "--since", "1h"), ("--limit", "0"), ("--outcome", "compleet"), ("--kind", "reqest"),
])  # fmt: skip
def test_what_makes_no_sense_is_said_and_shows_how(tmp_path, arguments):
    admin = Admin(tmp_path, f"sqlite:///{tmp_path / 'proxy.db'}")
    admin.ok("migrate")
    assert "Usage: proxy-admin events" in admin.wrong("events", *arguments)


@contextlib.contextmanager
def running(admin, *arguments):
    """A command that goes on until the block sends it Ctrl-C."""
    process = subprocess.Popen(
        [COMMAND, *admin.options, *arguments], cwd=admin.folder, env=admin.environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_arrivals_are_told_once_each_long_streams_too(server, admin, bob, upstream):
    go_on = threading.Event()
    upstream.script(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked") + chunked(b"data: one\n\n"), go_on, chunked(b""))
    stream = bob.post("/v1/long", json={}, stream=True)
    with running(admin, "events", "--follow", "--json", "--user", "bob", "--kind", "request") as process:
        eventually(lambda: admin.rows("SELECT id FROM events WHERE kind = 'admin' AND params LIKE ?", "%follow=True%"))
        short = [bob.get(f"/user/session?n={number}").headers["x-proxy-request-id"] for number in range(3)]
        assert [json.loads(process.stdout.readline())["id"] for _ in short] == short
        go_on.set()
        stream.content  # noqa: B018
        assert json.loads(process.stdout.readline())["id"] == stream.headers["x-proxy-request-id"] < short[0]
        last = bob.get("/user/session").headers["x-proxy-request-id"]
        assert json.loads(process.stdout.readline())["id"] == last
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == (b"", b"") and process.returncode == 130


def test_an_export_that_is_interrupted_says_where_to_go_on(server, admin):
    fill(server, 3000, "exported", "y" * 500)
    with running(admin, "events", "--json", "--all", "--endpoint", "/old") as process:
        first = [process.stdout.readline() for _ in range(500)]  # and then nothing: it stands still where the pipe is full
        process.send_signal(signal.SIGINT)
        rest, said = (part.decode() for part in process.communicate(timeout=10))
        assert process.returncode == 130 and said.startswith("Stopped: go on with --before ") and said.count("\n") == 1
    got = {json.loads(line)["id"] for line in [*(line.decode().strip() for line in first), *rest.splitlines()] if line.endswith("}")}  # the last one may be cut
    reached = said.split()[-1]
    others = ids(admin.ok("events", "--json", "--all", "--endpoint", "/old", "--before", reached))
    assert 0 < len(others) < 3000 and got | set(others) == {event["id"] for event in server.events(user_id="exported")}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process's memory is told in other ways")
def test_an_export_of_any_length_takes_little_memory(tmp_path):
    admin = Admin(tmp_path, f"sqlite:///{tmp_path / 'proxy.db'}")
    admin.ok("migrate")
    fill(admin, 2000, "large", "y" * 50_000)  # 100 MB
    with running(admin, "events", "--json", "--all", "--endpoint", "/old") as process:
        lines = io.BufferedReader(process.stdout)
        assert all(len(lines.readline()) > 50_000 for _ in range(1990))
        status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 150_000
    (tmp_path / "proxy.db").unlink()  # it would be searched for secrets


def test_at_a_terminal_a_long_command_shows_how_far_it_is_and_ctrl_c_ends_it(server, admin):
    fill(server, 9000, "shown")
    terminal = admin.at_a_terminal("events", "--all", "--endpoint", "/old", "--text", "X")
    terminal.wait_for("ENDPOINT")
    time.sleep(0.3)  # meanwhile it stands still, as nobody reads: much is still to be found, and to say after this long
    terminal.wait_for("Looking for more, back to 2025-06-15 15:0")
    terminal.type("\x03")
    status, shown = terminal.end()
    assert status == 130 and "Traceback" not in shown and re.search(r"Stopped: go on with --before \S+\s*$", shown)
    terminal = admin.at_a_terminal("prune", "--older-than", "2025-07-01", "--yes")
    terminal.wait_for("events deleted by now, up to 2025-06-15")
    terminal.type("\x03")
    status, shown = terminal.end()
    assert status == 130 and "Traceback" not in shown and shown.rpartition("\x1b[K")[2].strip().endswith("events are deleted; run the same again to go on.")
    assert 0 < len(server.rows("SELECT id FROM events WHERE endpoint = '/old'")) < 12_000


def test_pruning_beside_a_busy_server_loses_nothing_and_stops_nobody(server, admin, bob):
    fill(server, 6000, "old", "z" * 2000)
    chained = len(admin.events())
    old = "SELECT id FROM events WHERE endpoint = '/old'"
    count = len(server.rows(old))
    assert f"There are {count} events" in admin.ok("prune", "--older-than", "2025-06-16", "--dry-run")
    with Load(lambda _: bob.post("/v1/embeddings", json={"model": "m", "input": "x"})) as load:
        with running(admin, "prune", "--older-than", "30d") as process:
            eventually(lambda: len(server.rows(old)) < count - 100)
            process.send_signal(signal.SIGINT)
            printed, said = process.communicate(timeout=10)
            assert process.returncode == 130 and said.startswith(b"Stopped: ") and printed == b""
        left = len(server.rows(old))
        assert 0 < left < count - 100
        assert f"Deleted: {left} events" in admin.ok("prune", "--older-than", "30d")
    assert load.statuses() == {200} and len(load.answers) > 20 and load.longest() < 1
    server.event(load.answers[-1][1])
    asked = {answer.headers["x-proxy-request-id"] for _, answer, _ in load.answers}
    eventually(lambda: asked <= {event["id"] for event in server.rows("SELECT id FROM events WHERE endpoint = '/v1/embeddings'")})
    assert server.events(endpoint="/old") == [] and len(server.events(user_id=bob.id, kind="signup")) == 1
    assert len(admin.events()) == chained + 5 and "is whole" in admin.ok("audit", "verify")


def test_pruning_asks_at_a_terminal(server, admin):
    fill(server, 20, "asked")
    for answer, left in (("n", 20), ("y", 0)):
        terminal = admin.at_a_terminal("prune", "--older-than", "2025-07-01")
        terminal.answer("[y/N]: ", answer)
        status, shown = terminal.end()
        assert (status, len(server.events(user_id="asked"))) == (1 if left else 0, left) and "Delete 20 events" in shown
    assert "past" in admin.refused("prune", "--older-than", "2999-01-01")
