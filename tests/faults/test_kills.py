"""Workers are killed at any moment under load: nothing that was acknowledged is missing, and the log knows of every call."""
import collections
import itertools
import os
import signal
import threading

import pytest
import requests

from tests.fake_openai import FakeOpenAI, chunked, head, whole
from tests.faults.load import Load
from tests.server import eventually

KILLS = 5
CALLERS = 32
IN_FLIGHT = 6  # streams, at least, when a worker is killed
SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


class SlowOpenAI(FakeOpenAI):
    """Answers every tenth call with a stream that does not end before `go_on` is set."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def hear(self, question):
        """The steps of the answer."""
        super().hear(question)
        if question.target.endswith("0"):
            return SSE + chunked(b"data: 1\n\n"), self.go_on, chunked(b"data: 2\n\n", b"")
        return (whole(b"{}"),)

    def streams(self):
        """The paths of the streams that were asked for."""
        return [question.target for question in tuple(self.questions) if question.target.endswith("0")]


@pytest.fixture
def slow_upstream():
    """An upstream of this test alone."""
    server = SlowOpenAI()
    yield server
    server.stop()


class Callers:
    """Most call /v1, some write messages, now and then somebody signs up; they remember what was acknowledged."""

    def __init__(self, server):
        self.url = server.url
        self.headers = server.person("Eve").headers
        self.messages, self.accounts = set(), set()
        self.chat = self.post("/chat/create").json()["id"]

    def act(self, number):
        """Do the next thing."""
        if number % 40 == 7:
            answer = self.post("/user/signup", username=f"user {number}", password="x")
            self.accounts |= {f"user {number}"} if answer.status_code == 200 else set()
        elif number % 4 == 1:
            answer = self.post("/chat/prompt", id=self.chat, prompt="x", otr="true")
            self.messages |= {answer.json()["message"]["id"]} if answer.status_code == 200 else set()
        else:
            answer = requests.get(f"{self.url}/v1/call/{number}", headers=self.headers, timeout=30)
        return answer

    def post(self, path, **fields):
        """Send a form, over a connection of its own."""
        return requests.post(self.url + path, data=fields, headers=self.headers, timeout=30)


def kill_under_load(server, upstream, callers, numbers):
    """Kill a worker while streams are in flight; returns the answers by path, and the paths of those streams."""
    upstream.go_on.clear()
    streams = len(upstream.streams())
    with Load(callers.act, CALLERS, numbers) as load:
        eventually(lambda: len(upstream.streams()) >= streams + IN_FLIGHT, within=20)
        in_flight = upstream.streams()[streams:]
        os.kill(server.workers()[0], signal.SIGKILL)
        upstream.go_on.set()
        before = len(load.answers)
        eventually(lambda: sum(answer is not None for _, answer, _ in load.answers[before:]) > CALLERS, within=20)
    return {f"/v1/call/{number}": answer for number, answer, _ in load.answers}, in_flight


def outcomes(server):
    """The outcomes of each call in the log, by its path."""
    found = collections.defaultdict(list)
    for row in server.rows("SELECT endpoint, outcome FROM events WHERE endpoint LIKE ?", "/v1/call/%"):
        found[row["endpoint"]].append(row["outcome"])
    return found


@pytest.mark.parametrize("workers", ["sqlite and one worker", "postgres, redis and two workers"])
def test_five_kills_under_load_lose_nothing(start, new_database, slow_upstream, workers, request):
    kind = workers.partition(" ")[0].strip(",")
    shared = {"REDIS_ADDRESS": request.getfixturevalue("redis_address"), "WEB_CONCURRENCY": "2"} if kind == "postgres" else {}
    server = start(DB_ADDRESS=new_database(kind), API_URL=slow_upstream.url, **shared)
    callers, numbers, answers, in_flight = Callers(server), itertools.count(), {}, []
    for _ in range(KILLS):
        more, streams = kill_under_load(server, slow_upstream, callers, numbers)
        answers, in_flight = answers | more, in_flight + streams
    asked = {question.target for question in slow_upstream.questions}
    eventually(lambda: asked <= outcomes(server).keys(), within=20)
    logged = outcomes(server)
    assert {path: ends for path, ends in logged.items() if len(ends) > 1} == {}
    broken = {path for path in asked if answers[path] is None}
    assert len(broken) >= KILLS and {logged[path][0] for path in broken} == {"interrupted"}
    ends = collections.Counter(logged[path][0] for path in asked - broken)
    # The last byte of an answer is out just before its end is written down.
    assert set(ends) <= {"complete", "interrupted"} and ends["interrupted"] <= KILLS * CALLERS < ends["complete"] * 10
    assert callers.messages <= {row["id"] for row in server.rows("SELECT id FROM messages")}
    assert callers.accounts <= {row["username"] for row in server.rows("SELECT username FROM users")}
    assert len(callers.messages) > 20 and callers.accounts
    survived = [path for path in in_flight if path not in broken]
    assert bool(survived) == bool(shared), "the streams of the other worker go on"
