"""The real server in a process of its own, as its users run it."""
import contextlib
import functools
import itertools
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import psycopg2
import requests

from proxy_gpt import clock, ids
from proxy_gpt.rules import passwords, sessions, users
from tests import canary, described
from tests.canary import PASSWORD

BIN = Path(sys.executable).parent
OUR_SETTINGS = ("API_", "DB_", "DATABASE_", "REDIS_", "ADDRESS", "PORT", "WEB_CONCURRENCY", "LOG_", "LOGIN_", "JOURNAL_", "PASSWORD_",
                "SIGNUP", "CORS_", "STREAMS_", "METRICS_", "PRICES", "INCLUDE_", "CAPTURE", "RESERVE_", "ALLOW_")  # fmt: skip

NEW_USER = """INSERT INTO users (id, created_at, updated_at, username, username_key, password_hash, first_name, last_name)
              VALUES (?, ?, ?, ?, ?, ?, '', '')"""
NEW_SESSION = "INSERT INTO sessions (id, created_at, expires_at, digest, user_id) VALUES (?, ?, ?, ?, ?)"


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check, within=5.0):
    """What `check` returns once that is true; for what another process does and gives no sign of."""
    deadline = time.monotonic() + within
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


class Server:
    """`proxy-gpt` in a folder of its own, with these settings; None unsets one."""

    def __init__(self, folder, command=(BIN / "proxy-gpt",), cwd=None, listens_on=None, **settings):
        self.folder = Path(folder)
        self.cwd = cwd or self.folder
        self.port = int(listens_on or settings.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = settings.get("DB_ADDRESS") or f"sqlite:///{self.folder / 'proxy.db'}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OUR_SETTINGS)}
        wanted = {**inherited, "ADDRESS": f"127.0.0.1:{self.port}", **settings}
        self.environment = {name: value for name, value in wanted.items() if value is not None}
        self.command = [str(part) for part in command]
        self.process = None

    def start(self):
        """Start it and wait until it answers."""
        self.log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(self.command, cwd=self.cwd, env=self.environment, stdout=self.log, stderr=self.log)
        eventually(self.answers, within=15)
        return self

    def answers(self):
        """Whether it answers (it listens before that); fails at once when the process has ended."""
        assert self.process.poll() is None, self.output()
        with contextlib.suppress(requests.RequestException):
            return requests.head(f"{self.url}/user/signup", timeout=10).status_code == 405

    def stop(self):
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def kill(self):
        """SIGKILL to all of it, as a machine in trouble would."""
        for pid in [self.process.pid, *self.workers()]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self):
        """However it stands, it is no more: nobody needs it, and a stop takes a second or more."""
        if self.process and self.process.poll() is None:
            self.kill()
        self.log.close()

    def workers(self):
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def memory(self):
        """The memory in use by its worker, in bytes."""
        status = Path(f"/proc/{self.workers()[0]}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def output(self):
        """What it wrote to its log."""
        return (self.folder / "server.log").read_text()

    def rows(self, query, *values):
        """The rows that an SQL query (with ? for values) finds in its database, as dictionaries."""
        return query_database(self.database, query, *values)

    def event(self, response_or_id, within=5):
        """The event row of a response (or of a request id), once it is there."""
        identity = response_or_id if isinstance(response_or_id, str) else response_or_id.headers["x-proxy-request-id"]
        return eventually(lambda: self.rows("SELECT * FROM events WHERE id = ?", identity), within)[0]

    def events(self, **wanted):
        """All event rows with these values, in order."""
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1 = 1"
        return self.rows(f"SELECT * FROM events WHERE {where} ORDER BY id", *wanted.values())

    def person(self, name, password=PASSWORD):
        """Somebody who has signed up."""
        return settle(self, name, password)


class Pair:
    """Two servers on one database and one Redis that should be as one: each request goes to the other one."""

    def __init__(self, *servers):
        self.servers = servers
        self.turn = itertools.cycle(servers)

    @property
    def url(self):
        """The address of the server whose turn it is."""
        return next(self.turn).url

    def person(self, name, password=PASSWORD):
        """Somebody who has signed up."""
        return settle(self, name, password)

    def __getattr__(self, name):
        return getattr(self.servers[0], name)


def sign_up(server, name, password=PASSWORD):
    """The Person who signs up there with this name."""
    answer = requests.post(f"{server.url}/user/signup", data={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    return Person(server, name, password, answer.json()["user"]["id"], answer.json()["token"])


def settle(server, name, password):
    """The same, who signed up there a moment ago: the rows are put in their tables, since each sign-up hashes for a tenth of a second."""
    identity, token = ids.new_id(), secrets.token_urlsafe(32)
    now, later = (clock.to_text(clock.now() + timedelta(days=days)) for days in (0, 30))
    canary.tokens.add(token)
    execute_on_database(server.database, NEW_USER, identity, now, now, name, users.key(name), _hash_of(password))
    execute_on_database(server.database, NEW_SESSION, ids.new_id(), now, later, sessions.digest(token), identity)
    return Person(server, name, password, identity, token)


_hash_of = functools.cache(passwords.digest)


class Person(requests.Session):
    """Somebody with a token, who talks to the server."""

    def __init__(self, server, name, password, identity, token):
        super().__init__()
        self.trust_env = False
        self.server, self.name, self.password = server, name, password
        self.id, self.token = identity, token
        self.headers.update({"Authorization": f"Bearer {self.token}"})

    def request(self, method, url, **more):
        """A request; a path means this person's server. The answer must be one that the description allows."""
        more.setdefault("timeout", 30)
        answer = super().request(method, url if "://" in url else self.server.url + url, **more)
        described.check(answer)
        return answer

    def ask(self, path, **fields):
        """POST a form, as the seed's curl lines do."""
        return self.post(path, data=fields)


def query_database(address, query, *values):
    """The rows of a query (with ? for values) on SQLite or PostgreSQL, as dictionaries."""
    with _executed(address, query, values) as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def execute_on_database(address, statement, *values):
    """Change something behind the server's back."""
    with _executed(address, statement, values):
        pass


@contextlib.contextmanager
def _executed(address, query, values):
    if address.startswith("sqlite:///"):
        connection = sqlite3.connect(address.removeprefix("sqlite:///"))
    else:
        connection, query = psycopg2.connect(address), query.replace("?", "%s")
    with contextlib.closing(connection), connection:
        cursor = connection.cursor()
        cursor.execute(query, values)
        yield cursor


def error_of(answer, status):
    """The error of an answer, which must have this status and OpenAI's shape with all four keys."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"] == "application/json"
    body = json.loads(answer.text)
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"].endswith(".")
    return body["error"]
