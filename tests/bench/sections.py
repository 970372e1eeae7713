"""What is measured: each section starts what it needs and yields the rows of the table."""
import os
import subprocess
import time

from tests.bench import load
from tests.bench.chats import lengths, subscribers
from tests.bench.databases import postgres, redis, with_events
from tests.bench.running import ROUNDS, Row, new_folder, running
from tests.bench.servers import Limited, Naive, Proxy
from tests.server import BIN

MEMORY_STEPS = 20_000, 200_000


def plain(folder):
    """Plain requests: one worker, SQLite."""
    with running(folder, Naive, Proxy) as servers:
        naive, proxy = load.side_by_side(servers, ROUNDS, lambda server: load.requests(server, 32, 3))
        yield Row("CPU a request, ms", naive["cpu"], proxy["cpu"], 0.75)
        yield Row("requests a second, 32 connections", naive["rate"], proxy["rate"], 1.3, at_least=True)
        naive, proxy = load.side_by_side(servers, ROUNDS, lambda server: load.requests(server, 1, 2))
        yield Row("median time of a request, 1 connection, ms", naive["p50"], proxy["p50"], 1.0)


def limited(folder):
    """Plain requests of somebody with limits, each of which reserves and is settled: one worker, SQLite."""
    with running(folder, Naive, Limited) as servers:
        naive, proxy = load.side_by_side(servers, ROUNDS, lambda server: load.requests(server, 32, 3))
        yield Row("CPU a request with six limits, ms", naive["cpu"], proxy["cpu"], 0.8)


def streams(folder):
    """A thousand streams at once: one worker, SQLite."""
    with running(folder, Naive, Proxy) as servers:
        naive, proxy = load.side_by_side(servers, ROUNDS, lambda server: load.streams(server, 1000))
        yield Row("CPU for 1,000 chunks of 1,000 streams, ms", naive["cpu"], proxy["cpu"], 1.1)
        yield Row("p99 of the time between two chunks, ms", naive["gap"], proxy["gap"], 1.1)
        yield Row("memory at 1,000 streams, MB", None, proxy["memory"], 120)


def shared(folder):
    """Plain requests: two workers, PostgreSQL and Redis."""
    with postgres(folder) as database, redis(folder) as cache:
        settings = {"DB_ADDRESS": database, "REDIS_ADDRESS": cache, "WEB_CONCURRENCY": "2"}
        with running(folder, Naive, Proxy, **settings) as servers:
            naive, proxy = load.side_by_side(servers, ROUNDS, lambda server: load.requests(server, 32, 3))
            yield Row("CPU a request, PostgreSQL + Redis, 2 workers, ms", naive["cpu"], proxy["cpu"], 0.85)


def growth(folder):
    """The same request on an empty event table and on one with two million rows."""
    full_database = with_events(folder / "full.db", doublings=21)
    with running(folder, Proxy) as empty, running(folder, Proxy, DB_ADDRESS=f"sqlite:///{full_database}") as full:
        before, after = load.side_by_side(empty + full, ROUNDS, lambda server: load.requests(server, 32, 3))
        yield Row("CPU a request, 2 million events beside none, ms", before["cpu"], after["cpu"], 1.1)


def memory(folder):
    """Memory after many requests beside that after some."""
    with running(folder, Proxy) as (server,):
        count, sizes = 0, []
        for step in MEMORY_STEPS:
            while count < step:
                count += load.requests(server, 32, 5)["count"]
            sizes.append(server.memory() / 1e6)
        yield Row("memory after 200,000 requests beside 20,000, MB", *sizes, 1.1)


def start(folder):
    """From the command to the first answer."""
    yield Row("proxy-gpt answers after, s", None, min(_seconds_to_answer(folder) for _ in range(3)), 1.0)
    yield Row("proxy-admin --help takes, s", None, min(_seconds_of_help(folder) for _ in range(5)), 0.25)


def _seconds_to_answer(folder):
    server = Proxy(new_folder(folder))
    begin = time.monotonic()
    try:
        server.begin()
        return time.monotonic() - begin
    finally:
        server.stop()


def _seconds_of_help(folder):
    begin = time.monotonic()
    subprocess.run([BIN / "proxy-admin", "--help"], cwd=folder, env=os.environ, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


SECTIONS = {
    "plain": plain, "limited": limited, "streams": streams, "shared": shared, "subscribers": subscribers,
    "growth": growth, "lengths": lengths, "memory": memory, "start": start,
}  # fmt: skip
