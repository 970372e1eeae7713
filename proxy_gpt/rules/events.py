"""The event log as its readers see it: what they look for, found newest first, as it arrives, or deleted when it is old.

Nothing here holds a connection or a transaction while a caller is busy with what it got.
"""
import json
from collections import deque
from dataclasses import dataclass, fields

from peewee import fn

from proxy_gpt import clock
from proxy_gpt.db import connection
from proxy_gpt.errors import NotFound
from proxy_gpt.ids import BEYOND, first_id
from proxy_gpt.models import Event
from proxy_gpt.rules import event_sources

STEP = 1000  # ids looked at together at most
CHUNK = 200  # rows read together: they may have two bodies of some kilobytes each
OVERLAP = 15_000_000  # microseconds after which a row that was stored is there to be seen: the longest transaction, and clocks
WINDOW = 60_000_000  # microseconds of arrivals read together, or a watch that slept would read all that came since
TEXTS = (Event.request, Event.response, Event.endpoint, Event.params, Event.message)


@dataclass(frozen=True)
class Filters:
    """What events are wanted. `endpoint` may end with `*`, `status` is a number or such as "4xx", times are datetimes."""

    user_id: str = None
    team_id: str = None
    endpoint: str = None
    model: str = None
    status: str = None
    outcome: str = None
    kind: str = None
    since: object = None
    until: object = None
    text: str = None

    def conditions(self):
        """What a row must be, beside what its id says of the time."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        equal = [getattr(Event, name) == given[name] for name in ("user_id", "team_id", "model", "outcome", "kind") if given[name] is not None]
        return [*equal, *self._endpoints(), *self._statuses(), *self._texts()]

    def bounds(self):
        """(the first id that may be wanted, the first one that is too late)."""
        return first_id(self.since) if self.since else "", first_id(self.until) if self.until else BEYOND

    def _endpoints(self):
        if self.endpoint is None:
            return []
        prefix = self.endpoint.removesuffix("*")
        return [Event.endpoint == prefix if prefix == self.endpoint else fn.SUBSTR(Event.endpoint, 1, len(prefix)) == prefix]

    def _statuses(self):
        if self.status is None:
            return []
        first, last = event_sources.statuses(self.status)
        return [Event.status.between(first, last)]

    def _texts(self):
        if not self.text:
            return []
        spellings = {self.text, json.dumps(self.text)[1:-1]}  # the other one is that of JSON in ASCII
        conditions = [column.contains(spelling) for spelling in spellings for column in TEXTS]
        any_of_them = conditions[0]
        for condition in conditions[1:]:
            any_of_them |= condition
        return [any_of_them]


def walk(filters, before="", wanted=STEP):
    """Yield (rows as dictionaries, the last id looked at) again and again, newest first, until the log's end.

    However long the log is, each step looks at no more than STEP rows, those of the rarest thing that is asked for.
    `before` is an id; `wanted` says how many rows the caller hopes for.
    """
    conditions = filters.conditions()
    since, until = filters.bounds()
    below = min(until, before or BEYOND)
    sources = _sources(filters, since, below)
    step = max(1, min(wanted, STEP))
    while True:
        ids = _sparsest(sources, below, since, step)
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            yield _rows(chunk, conditions), chunk[-1]
        if len(ids) < step:
            return
        below, step = ids[-1], min(step * 2, STEP)


@connection()
def by_id(identity):
    """The event with this id, as a dictionary. Raises NotFound."""
    found = Event.select().where(Event.id == identity).dicts().first()
    if found is None:
        raise NotFound(f"There is no event with the id '{identity}'.", "id")
    return found


class Arrivals:
    """The events that are stored from now on, each once, however long ago they began."""

    def __init__(self, filters):
        self.conditions = filters.conditions()
        self.newest = clock.microseconds()
        self.seen = {}  # those of the last OVERLAP, by id: when they were stored
        self._unseen()

    def next(self):
        """Yield lists of the rows (dictionaries) that have come since the last time."""
        ids = deque(self._unseen())
        while ids:
            chunk = [ids.popleft() for _ in range(min(CHUNK, len(ids)))]
            yield _rows(chunk, self.conditions, Event.stored_at, Event.id)

    @connection()
    def _unseen(self):
        now = clock.microseconds()
        first, end = self.newest - OVERLAP, self.newest + WINDOW
        found = Event.select(Event.id, Event.stored_at).where(Event.stored_at >= first)
        if end < now:
            found = found.where(Event.stored_at < end)
        stored = dict(found.order_by(Event.stored_at, Event.id).tuples())
        new = [identity for identity in stored if identity not in self.seen]
        self.newest = min(now, end)
        self.seen = {identity: at for identity, at in (self.seen | stored).items() if at >= self.newest - OVERLAP}
        return new


@connection()
def _sources(filters, since, below):
    return event_sources.indexed(filters, since, below)


@connection()
def _sparsest(sources, below, since, count):
    """The next ids of the source that gets furthest with so many, or of the whole log where there is none."""
    found = [source(below, since, count) for source in sources] or [event_sources.everything(below, since, count)]
    return min(found, key=lambda ids: ids[-1] if len(ids) == count else "")


@connection()
def _rows(ids, conditions, *order):
    found = Event.select().where(Event.id.in_(ids), *conditions)
    return list(found.order_by(*(order or (Event.id.desc(),))).dicts())
