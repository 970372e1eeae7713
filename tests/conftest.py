"""Who takes part: the real server on each database, the fake upstream, and Alice, Bob and Charlie."""
import itertools
import os
import signal
import uuid

import psycopg2
import pytest

from tests import canary
from tests.canary import KEY
from tests.fake_openai import FakeOpenAI
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.server import Pair, Server, execute_on_database

CROWD = """
    WITH RECURSIVE counter(n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM counter WHERE n < 2000)
    INSERT INTO users (id, created_at, username, username_key, password_hash, first_name, last_name, updated_at)
    SELECT 'crowd-' || n, '2024-01-01T00:00:00.000000Z', 'crowd ' || n, 'crowd ' || n, '', '', '', '2024-01-01T00:00:00.000000Z' FROM counter
"""
numbers = itertools.count(1)

# A shell starts what runs in its background with SIGINT ignored, and so would be all that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """The admin command asks the database and no process: beside a second process it has nothing more to show."""
    alone = ("tests/test_admin.py", "tests/test_admin_chats.py")
    items[:] = [item for item in items if not (item.nodeid.startswith(alone) and "two processes" in item.nodeid)]


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_told(tmp_path_factory):
    """Set up before all else, so that at its end every server has stopped and every row is written."""
    with canary.listening():
        yield
    places = canary.leaks(tmp_path_factory.getbasetemp())
    if places:
        pytest.fail("A password, a token or the shared key is in:\n" + "\n".join(places), pytrace=False)


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL; returns a function that makes a fresh database in it and returns its address."""
    server = PostgresServer()
    yield lambda: _new_database(server.server)
    server.end()


def _new_database(server):
    name = f"proxy_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(server.get_uri())
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    return server.get_uri(name)


@pytest.fixture(scope="session")
def new_database(request, tmp_path_factory):
    """A function from "sqlite" or "postgres" to the address of a fresh, empty database."""

    def make(kind):
        if kind == "postgres":
            return request.getfixturevalue("postgres")()
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'proxy.db'}"

    return make


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def backend(request):
    """Each test that has to do with the database runs on both."""
    return request.param


@pytest.fixture
def database(backend, new_database):
    """The address of a fresh, empty database, on each backend."""
    return new_database(backend)


@pytest.fixture(scope="session")
def the_upstream():
    """One fake OpenAI for all."""
    server = FakeOpenAI()
    yield server
    server.stop()


@pytest.fixture
def upstream(the_upstream):
    """The fake OpenAI, with nothing asked yet and nothing scripted."""
    the_upstream.forget()
    yield the_upstream
    the_upstream.forget()


@pytest.fixture(scope="session")
def started_servers():
    """All servers that were started and not ended, in this order."""
    started = []
    yield started
    end_from(started, 0)


def end_from(servers, first):
    """End the servers from that number on."""
    while len(servers) > first:
        servers.pop().end()


@pytest.fixture(scope="session")
def start(tmp_path_factory, the_upstream, started_servers):
    """A function that starts a server with these settings. It ends with the test, or the module, whose fixture began it."""

    def begin(folder=None, **settings):
        settings = {"API_KEY": KEY, "API_URL": the_upstream.url, **settings}
        server = Server(folder or tmp_path_factory.mktemp("server"), **settings)
        started_servers.append(server)
        return server.start()

    return begin


@pytest.fixture(scope="session")
def start_for_many(start, started_servers):
    """The same for servers that outlive a module: whose fixture begins them ends them too."""

    def begin(**settings):
        server = start(**settings)
        started_servers.remove(server)
        return server

    return begin


@pytest.fixture(autouse=True, scope="module")
def servers_of_the_module(started_servers):
    """They end with it."""
    first = len(started_servers)
    yield
    end_from(started_servers, first)


@pytest.fixture(autouse=True)
def servers_of_the_test(started_servers, servers_of_the_module):
    """They end with it."""
    first = len(started_servers)
    yield
    end_from(started_servers, first)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A real Redis."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_address(redis_server):
    """Where it is."""
    return redis_server.url


@pytest.fixture(scope="session", params=["sqlite and memory", "postgres and redis", "two processes"])
def proxy(request, start_for_many, new_database):
    """The server that most tests talk to: alone, on PostgreSQL and Redis, and as two of which each request meets the other one."""
    if request.param == "sqlite and memory":
        servers = [start_for_many(DB_ADDRESS=new_database("sqlite"))]
    else:
        shared = {"DB_ADDRESS": new_database("postgres"), "REDIS_ADDRESS": request.getfixturevalue("redis_address"), "WEB_CONCURRENCY": "1"}
        servers = [start_for_many(**shared) for _ in range(2 if request.param == "two processes" else 1)]
    yield Pair(*servers) if len(servers) == 2 else servers[0]
    for server in servers:
        server.end()


@pytest.fixture(scope="session")
def sqlite_proxy(start_for_many):
    """A server on SQLite, for what has nothing to do with the database."""
    server = start_for_many()
    yield server
    server.end()


@pytest.fixture(scope="session")
def alice(proxy):
    """The owner. She changes nothing about herself: other tests know her too."""
    return proxy.person("Alice")


@pytest.fixture(scope="session")
def bob(proxy, alice):
    """The participant, who signed up after Alice."""
    return proxy.person("Bob")


@pytest.fixture(scope="session")
def charlie(proxy, bob):
    """The stranger, who signed up last."""
    return proxy.person("Charlie")


@pytest.fixture(scope="session")
def dora(sqlite_proxy):
    """Somebody on the server that is for all but the database."""
    return sqlite_proxy.person("Dora")


@pytest.fixture
def newcomer(proxy):
    """Somebody nobody knows yet, free to change."""
    return proxy.person(f"newcomer {next(numbers)}")


@pytest.fixture(scope="session")
def crowd(proxy):
    """The ids of a thousand people, who are only there."""
    execute_on_database(proxy.database, CROWD)
    return [f"crowd-{number}" for number in range(1001, 2001)]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    """The tests' own environment must not reach the code under test."""
    for name in list(os.environ):
        if name in ("API_KEY", "API_URL", "DB_ADDRESS", "DATABASE_URL", "REDIS_ADDRESS", "REDIS_URL", "ADDRESS", "PORT"):
            monkeypatch.delenv(name)
