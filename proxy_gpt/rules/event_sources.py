"""Where the ids of wanted events come from: for each thing that may be asked for the index that has it in order of time.

A source is a function (below, since, count) that returns the next so many ids below one, newest first. It never looks at
more entries of its index than it returns, so that nothing depends on what a planner knows of the values.
"""
from peewee import SQL

from proxy_gpt.models import Event
from proxy_gpt.models.log import BEGINNING, SPARSE, Beginning

MOST_VALUES = 20  # different endpoints or statuses whose indexes are read side by side
RARE = 5_000  # ids that are gathered and sorted where there are more
LAST = "\U0010ffff"  # the character behind all others


def indexed(filters, since, below):
    """The sources for what these filters ask for; what most of the rows have is no help and has none."""
    given = {name: getattr(filters, name) for name in ("user_id", "team_id", "model", "outcome", "kind")}
    sources = [_one(*_equal(name, value)) for name, value in given.items() if value is not None and _is_indexed(name, value)]
    if filters.status:
        sources.append(_of_statuses(*statuses(filters.status)))
    if filters.endpoint:
        sources.append(_of_endpoints(filters.endpoint, since, below))
    return [source for source in sources if source]


def everything(below, since, count):
    """The source of the whole log."""
    return _ids([], below, since, count)


def statuses(wanted):
    """(first, last) of a status such as "404" or "4xx"."""
    first = int(wanted.lower().replace("x", "0"))
    return first, first + 99 if wanted.lower().endswith("xx") else first


def _is_indexed(name, value):
    return {"model": "", "outcome": "complete", "kind": "request"}.get(name) != value


def _equal(name, value):
    """The conditions for a value, with the one under which its index has it."""
    conditions = [getattr(Event, name) == value]
    return [*conditions, SQL(SPARSE[name])] if name in SPARSE else conditions


def _one(*conditions):
    return lambda below, since, count: _ids(conditions, below, since, count)


def _side_by_side(sources):
    return lambda below, since, count: sorted((one for source in sources for one in source(below, since, count)), reverse=True)[:count]


def _ids(conditions, below, since, count):
    found = Event.select(Event.id).where(*conditions, Event.id < below, Event.id >= since)
    return [identity for (identity,) in found.order_by(Event.id.desc()).limit(count).tuples()]


def _of_statuses(first, last):
    if first <= 200 <= last:
        return None
    values = _different(Event.status, first, last, SQL(SPARSE["status"]))
    return _side_by_side([_one(*_equal("status", value)) for value in values])


def _of_endpoints(endpoint, since, below):
    prefix = endpoint.removesuffix("*")
    begins = Beginning()
    if prefix == endpoint:
        return _one(begins == endpoint[:BEGINNING])
    values = _different(begins, prefix[:BEGINNING], prefix[:BEGINNING] + LAST)
    if len(values) <= MOST_VALUES:
        return _side_by_side([_one(begins == value) for value in values])
    return _few(begins.between(prefix[:BEGINNING], prefix[:BEGINNING] + LAST), since, below)


def _different(column, first, last, *conditions):
    """The different values of an index's column within a range, one more than MOST_VALUES at most."""
    values, beyond = [], column >= first
    while len(values) <= MOST_VALUES:
        found = Event.select(column).where(beyond, column <= last, *conditions).order_by(column).limit(1).tuples().first()
        if found is None:
            break
        values.append(found[0])
        beyond = column > found[0]
    return values


def _few(condition, since, below):
    """The source of what is not in order of time in its index, where that is little enough to be sorted; else None."""
    found = Event.select(Event.id).where(condition, Event.id < below, Event.id >= since).limit(RARE + 1)
    ids = sorted((identity for (identity,) in found.tuples()), reverse=True)
    if len(ids) > RARE:
        return None
    return lambda below, since, count: [identity for identity in ids if identity < below][:count]
