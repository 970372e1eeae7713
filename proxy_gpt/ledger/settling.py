"""How an event tells what its call used.

Redis is told of a record when its call ends, by `Gate.settle`. The database settles rows when the shipper inserts them, by
`sql.settle`: those of everybody, in the transaction that sums them up.
"""
from operator import attrgetter, itemgetter

from proxy_gpt import clock
from proxy_gpt.db import connection
from proxy_gpt.eventlog import metering
from proxy_gpt.ledger.entries import Settlement, subject
from proxy_gpt.models import Event

FIELDS = ("id", "timestamp", "user_id", "team_id", "usage", "input_tokens", "output_tokens", "cost")
BATCH = 500  # ids in a query
_values = attrgetter(*FIELDS)


def settlement_of(record):
    """The Settlement of a record that is whole."""
    return _settlement(*_values(record))


def settlements_of_rows(rows, columns):
    """The Settlements of event rows with these columns; events of nobody settle nothing."""
    values, user = itemgetter(*map(columns.index, FIELDS)), columns.index("user_id")
    return (_settlement(*values(row)) for row in rows if row[user])


@connection()
def settlements_of_events(ids):
    """The Settlements of events in the table."""
    found = []
    for start in range(0, len(ids), BATCH):
        found.extend(Event.select().where(Event.id.in_(ids[start : start + BATCH]), Event.user_id.is_null(False)))
    for event in found:
        event.timestamp = clock.to_text(event.timestamp)
    return [settlement_of(event) for event in found]


def _settlement(identity, timestamp, user_id, team_id, usage, tokens_in, tokens_out, cost):
    subjects = (subject("user", user_id), subject("team", team_id)) if team_id else (subject("user", user_id),)
    if not usage:
        return Settlement(identity, timestamp, subjects)
    tokens = None if usage == metering.UNKNOWN else (tokens_in or 0) + (tokens_out or 0)
    return Settlement(identity, timestamp, subjects, tokens, cost, usage == metering.EXACT)
