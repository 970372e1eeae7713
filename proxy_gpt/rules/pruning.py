"""Deleting old events, so that the proxy that writes new ones beside it never waits long.

Each batch is a transaction of its own, with a pause after it, and on SQLite as large as takes some milliseconds, since
nobody else writes in that time; on PostgreSQL nobody waits for it. Events of the admin command stay: they are a chain.
"""
import time

from peewee import SqliteDatabase

from proxy_gpt.db import connection
from proxy_gpt.ids import first_id
from proxy_gpt.models import Event, Kind, proxy

LEAST, MOST = 10, 1000  # events in a batch
AIM, AIM_POSTGRES = 0.005, 0.1  # seconds that a batch should take
PAUSES = 4  # times as long as a batch took is the pause after it
COUNTED = 10_000  # events counted together


def count(moment):
    """Yield how many events are older than the moment and would be deleted, as far as counted, again and again."""
    total, after = 0, ""
    while ids := _old(after, moment, COUNTED):
        total, after = total + len(ids), ids[-1]
        yield total


def prune(moment):
    """Delete the events that are older than the moment. Yields (how many by now, the last id deleted) after each batch."""
    total, after, size = 0, "", LEAST
    aim = AIM if isinstance(proxy.obj, SqliteDatabase) else AIM_POSTGRES
    while ids := _old(after, moment, size):
        begin = time.monotonic()
        total += _delete(ids)
        taken, after = time.monotonic() - begin, ids[-1]
        yield total, after
        size = max(LEAST, min(MOST, int(len(ids) * aim / max(taken, 1e-4)), 2 * size))
        time.sleep(max(AIM, PAUSES * taken))


@connection()
def _old(after, moment, most):
    found = Event.select(Event.id).where(Event.id > after, Event.id < first_id(moment), Event.kind != Kind.ADMIN)
    return [identity for (identity,) in found.order_by(Event.id).limit(most).tuples()]


@connection()
def _delete(ids):
    return Event.delete().where(Event.id.in_(ids)).execute()
