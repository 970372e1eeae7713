"""Deleting old events, beside the proxy that writes new ones. Events of the admin command stay: they are a chain."""
from proxy_gpt.db import connection
from proxy_gpt.ids import first_id
from proxy_gpt.models import Event, Kind
from proxy_gpt.rules import batches

LEAST = 10  # events in the first batch
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
    return batches.delete(lambda after, size: _old(after, moment, size), _delete, LEAST, PAUSES)


@connection()
def _old(after, moment, most):
    found = Event.select(Event.id).where(Event.id > after, Event.id < first_id(moment), Event.kind != Kind.ADMIN)
    return [identity for (identity,) in found.order_by(Event.id).limit(most).tuples()]


@connection()
def _delete(ids):
    return Event.delete().where(Event.id.in_(ids)).execute()
