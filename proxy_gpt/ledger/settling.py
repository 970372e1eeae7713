"""How an event tells what its call used: of a record when the call ends, of rows when the shipper takes them to the database."""
from operator import attrgetter, itemgetter

from proxy_gpt.ledger.entries import Settlement, subject

FIELDS = ("id", "timestamp", "user_id", "team_id", "usage", "input_tokens", "output_tokens", "cost")
UNKNOWN = "unknown"
_values = attrgetter(*FIELDS)


def of(record):
    """The Settlement of a record that is whole."""
    return _settlement(*_values(record))


def of_rows(rows, columns):
    """The Settlements of event rows with these columns; events of nobody settle nothing."""
    values, user = itemgetter(*map(columns.index, FIELDS)), columns.index("user_id")
    return (_settlement(*values(row)) for row in rows if row[user])


def _settlement(identity, timestamp, user_id, team_id, usage, tokens_in, tokens_out, cost):
    subjects = (subject("user", user_id), subject("team", team_id)) if team_id else (subject("user", user_id),)
    if not usage:
        return Settlement(identity, timestamp, subjects)
    tokens = None if usage == UNKNOWN else (tokens_in or 0) + (tokens_out or 0)
    return Settlement(identity, timestamp, subjects, tokens, cost)
