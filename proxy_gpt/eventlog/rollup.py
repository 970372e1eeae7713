"""The sums of what was used, a row for each day, user, team and model, kept while the events are inserted."""
from peewee import EXCLUDED

from proxy_gpt.eventlog import metering
from proxy_gpt.eventlog.record import COLUMNS
from proxy_gpt.models import UsageDay

KEY = ("day", "user_id", "team_id", "model")
SUMS = tuple(field.name for field in UsageDay._meta.sorted_fields if field.name not in KEY)
COUNTS = tuple(name for name in SUMS if name in COLUMNS)  # what is added up as the event has it
AT = {name: COLUMNS.index(name) for name in ("timestamp", "user_id", "team_id", "model", "usage", "cost", *COUNTS)}


def add(cursor, rows):
    """Add events that were just inserted, in the same transaction.

    The sums are changed in the order of their keys: of two processes that do so at once, one waits for the other, never both.
    """
    sums = {}
    for row in rows:
        if row[AT["usage"]] and row[AT["user_id"]]:
            _add_one(sums.setdefault(_key(row), dict.fromkeys(SUMS, 0)), row)
    if sums:
        cursor.executemany(_statement(), [(*key, *(sums[key][name] for name in SUMS)) for key in sorted(sums)])


def _key(row):
    return row[AT["timestamp"]][:10], row[AT["user_id"]], row[AT["team_id"]] or "", row[AT["model"]]


def _add_one(total, row):
    for name in COUNTS:
        total[name] += row[AT[name]] or 0
    usage = row[AT["usage"]]
    total["requests"] += 1
    total["estimated"] += usage == metering.ESTIMATED
    total["unknown"] += usage == metering.UNKNOWN
    total["unpriced"] += row[AT["cost"]] is None


def _statement():
    added = {name: getattr(UsageDay, name) + getattr(EXCLUDED, name) for name in SUMS}
    sql, _ = UsageDay.insert(dict.fromkeys((*KEY, *SUMS))).on_conflict(conflict_target=KEY, update=added).sql()
    return sql
