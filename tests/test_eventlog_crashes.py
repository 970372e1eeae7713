"""The event log when things go wrong: processes are killed, the database is locked, a row cannot be stored."""
import contextlib
import json
import os
import signal
import threading

import pytest
import requests

from proxy_gpt.eventlog.record import COLUMNS, Record
from tests.fake_openai import chunked, head
from tests.locks import locked
from tests.server import eventually, query_database

SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture
def server(start, database):
    """A server of this test alone, on each database."""
    return start(DB_ADDRESS=database)


def in_the_background(function, *args):
    """Call it in a thread, whatever comes of it."""

    def run():
        with contextlib.suppress(requests.RequestException):
            function(*args)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("killed", ["the worker", "the whole server"])
def test_a_request_that_a_kill_interrupts_has_its_row(server, upstream, killed):
    eve = server.person("Eve")
    upstream.script(SSE + chunked(b"data: 1\n\n"), threading.Event())
    caller = in_the_background(eve.post, "/v1/chat/completions?x=1", b"{}")
    asked = upstream.question()
    if killed == "the worker":
        os.kill(server.workers()[0], signal.SIGKILL)
    else:
        server.kill()
        server.start()
    assert asked.gone.wait(5)
    caller.join(10)
    event = eventually(lambda: server.events(outcome="interrupted"))[0]
    wanted = {"user_id": eve.id, "method": "POST", "endpoint": "/v1/chat/completions", "params": "x=1", "status": None}
    assert {name: event[name] for name in wanted} == wanted and event["message"].endswith(".")
    assert len(server.events(endpoint="/v1/chat/completions")) == 1


def test_rows_of_answers_just_before_a_kill_are_all_there_once(server, upstream):
    eve = server.person("Eve")
    with locked(server.database):  # so that none is in the database before the kill
        ids = [eve.get("/v1/models").headers["x-proxy-request-id"] for _ in range(50)]
        server.kill()
        assert server.events(endpoint="/v1/models") == []
    server.start()
    events = eventually(lambda: len(found := server.events(endpoint="/v1/models")) >= 50 and found)
    assert [event["id"] for event in events] == sorted(ids)
    ends = {event["id"]: (event["outcome"], event["status"]) for event in events}
    assert ends.pop(ids[-1])[0] in ("complete", "interrupted")  # its last byte is out just before its end is written down
    assert set(ends.values()) == {("complete", 200)}


def test_rows_wait_while_another_process_holds_the_lock_and_arrive_once_each_even_after_a_kill(start, new_database, upstream):
    server = start(DB_ADDRESS=new_database("sqlite"))
    eve = server.person("Eve")
    with locked(server.database):
        answers = [eve.get("/v1/models") for _ in range(25)]
        os.kill(server.workers()[0], signal.SIGKILL)
        eventually(lambda: server.output().count("Booting worker") == 2)
        eve.close()  # that connection was the killed worker's
        answers += [eve.get("/v1/models") for _ in range(25)]
        eventually(lambda: "Events wait in the journal" in server.output(), within=10)
        assert server.events(endpoint="/v1/models") == []
    events = eventually(lambda: len(found := server.events(endpoint="/v1/models")) >= 50 and found, within=12)
    assert sorted(event["id"] for event in events) == sorted(answer.headers["x-proxy-request-id"] for answer in answers)
    ends = {event["id"]: (event["outcome"], event["status"]) for event in events}
    assert ends.pop(answers[24].headers["x-proxy-request-id"])[0] in ("complete", "interrupted")  # the killed worker's last, as above
    assert set(ends.values()) == {("complete", 200)}


def journal(server):
    """The files in the server's journal."""
    return [path for path in (server.folder / "proxy-journal").rglob("*") if path.is_file()]


def test_a_journal_is_gone_when_its_events_are_in_the_database(server, upstream):
    eve = server.person("Eve")
    answer = eve.get("/v1/models", headers={"Connection": "close"})
    assert journal(server)
    server.stop()
    assert journal(server) == [] and server.event(answer, within=0.1)


def test_a_journals_segment_goes_once_it_is_full_and_shipped(server, upstream):
    eve = server.person("Eve")
    upstream.script(SSE, never := threading.Event())
    waiting = in_the_background(eve.get, "/v1/waits")  # its intent must move on into the next segment
    upstream.question()
    body = b"x" * 16384
    answers = [eve.post("/v1/big", data=body, headers={"Content-Type": "text/plain"}) for _ in range(520)]
    server.event(answers[-1])
    assert [path.name for path in journal(server)] == ["00000001"]
    never.set()
    server.kill()
    waiting.join(10)
    server.start()
    assert eventually(lambda: server.events(endpoint="/v1/waits"))[0]["outcome"] == "interrupted"
    assert len(server.events(endpoint="/v1/big")) == 520


def test_a_row_that_the_database_refuses_stops_none_of_those_around_it(start, database, tmp_path):
    server = start(tmp_path, DB_ADDRESS=database)
    server.kill()
    rows = [Record("GET", f"/left/{number}").row() for number in range(3)]
    rows[1][COLUMNS.index("bytes_in")] = 1 << 70
    segment = next(path for path in journal(server))
    segment.write_bytes(b"".join(b"O" + json.dumps(row).encode() + b"\n" for row in rows) + b"Otorn")
    server.start()
    query = "SELECT endpoint FROM events WHERE endpoint LIKE ? ORDER BY endpoint"
    eventually(lambda: [row["endpoint"] for row in query_database(database, query, "/left/%")] == ["/left/0", "/left/2"])
    eventually(lambda: server.output().count(f"refuses the event {rows[1][0]}") == 1)
