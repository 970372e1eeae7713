"""Deleting many rows beside everything else: in small batches, with pauses between them.

A batch takes some milliseconds on SQLite, since nobody else writes in that time; on PostgreSQL nobody waits for it.
"""
import time

from peewee import SqliteDatabase

from proxy_gpt.models import proxy

MOST = 1000  # rows in a batch
AIM, AIM_POSTGRES = 0.005, 0.1  # seconds that a batch should take


def delete(find, remove, least=1, pauses=1, rest=AIM):
    """Delete the ids that `find(after, size)` finds, by `remove(ids)`. Yields (how many by now, the last id) after each batch.

    `least` is the size of the first batch. The pause behind a batch is `pauses` times as long as it took, at least `rest` seconds.
    """
    total, after, size = 0, "", least
    aim = AIM if isinstance(proxy.obj, SqliteDatabase) else AIM_POSTGRES
    while ids := find(after, size):
        begin = time.monotonic()
        total += remove(ids)
        taken, after = time.monotonic() - begin, ids[-1]
        yield total, after
        size = max(least, min(MOST, int(len(ids) * aim / max(taken, 1e-4)), 2 * size))
        time.sleep(max(rest, pauses * taken))
