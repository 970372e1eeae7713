"""The chain of admin events: adding to it, and finding what was done to it behind the proxy's back.

Who can write to the database can make all of it anew; that is found by whoever kept a digest elsewhere.
"""
import logging

from peewee import fn

from proxy_gpt.db import connection
from proxy_gpt.models import HEAD, Event, Head, Kind, Link, digest_of
from proxy_gpt.models.chain import CHAINED

BATCH = 500  # events read together
BROKEN = "broken"  # stands for the digest before it in that of an event that came when the head was not at the end
logger = logging.getLogger(__name__)


def append(**values):
    """Create an admin event as the next in the chain. The caller has a transaction: others wait for its end.

    Where the head is not at the end it goes on all the same: a chain that was tampered with must lock nobody out.
    """
    Head.insert(id=HEAD, number=0, digest="").on_conflict_ignore().execute()
    Head.update(number=Head.number).where(Head.id == HEAD).execute()  # before anything is read: this locks it
    number, previous = Link.select(Link.number, Link.digest).order_by(Link.number.desc()).tuples().first() or (0, "")
    if not Head.select().where(Head.id == HEAD, Head.number == number, Head.digest == previous).exists():
        logger.warning("The head of the chain of admin events was not at its end: 'proxy-admin audit verify' says more.")
        previous = BROKEN
    event = Event.create(kind=Kind.ADMIN, **values)
    digest = digest_of(previous, number + 1, {name: getattr(event, name) for name in CHAINED})
    Link.create(number=number + 1, event_id=event.id, digest=digest)
    Head.update(number=number + 1, digest=digest).where(Head.id == HEAD).execute()


class Check:
    """A check of the whole chain up to its end as it is now. `faults` and `known` are complete when `run` is through."""

    def __init__(self, kept=None):
        self.number, self.digest, self.last = _end()
        self.kept = kept  # a digest that somebody kept elsewhere
        self.known = kept is None
        self.faults = []

    def run(self):
        """Yield the number of events checked by now, again and again."""
        previous, at = "", 0
        while links := _links(at, self.last):
            for number, identity, digest, event in links:
                self._check(previous, at, number, identity, digest, event)
                self.known = self.known or digest == self.kept
                previous, at = digest, number
            yield at
        if (at, previous) != (self.number, self.digest):
            self.faults.append(f"Changed: the head of the chain, or its end. The chain ends with number {at}, the head is at number {self.number}.")
        yield from self._strangers(at)
        if not self.known:
            self.faults.append("The digest that was kept is not in the chain: it was cut off, or made anew.")

    def _check(self, previous, before, number, identity, digest, event):
        if number != before + 1:
            self.faults.append(f"Missing: {_numbers(before + 1, number - 1)} of the chain.")
        elif event is None:
            self.faults.append(f"Missing: the event {identity}, number {number}.")
        elif digest_of(previous, number, event) != digest:
            broken = digest_of(BROKEN, number, event) == digest
            what = "Broken: the head of the chain was changed, or its end, before" if broken else "Changed, or not in its place:"
            self.faults.append(f"{what} the event {identity}, number {number}.")

    def _strangers(self, checked):
        """Admin events that are in no chain: somebody wrote them in."""
        after = ""
        while found := _admin_events(after):
            for identity, number in found:
                if number is None:
                    self.faults.append(f"Inserted: the admin event {identity} has no place in the chain.")
            after = found[-1][0]
            yield checked


def _numbers(first, last):
    return f"number {first}" if first == last else f"the numbers {first} to {last}"


@connection()
def _end():
    """(number and digest of the head, number of the last link), all of one moment."""
    last = Link.select(fn.COALESCE(fn.MAX(Link.number), 0))
    found = Head.select(Head.number, Head.digest, last).where(Head.id == HEAD).tuples().first()
    return found or (0, "", last.scalar())


@connection()
def _links(after, last):
    links = list(Link.select().where(Link.number > after, Link.number <= last).order_by(Link.number).limit(BATCH))
    found = Event.select().where(Event.id.in_([link.event_id for link in links])).dicts() if links else ()
    events = {event["id"]: event for event in found}
    return [(link.number, link.event_id, link.digest, events.get(link.event_id)) for link in links]


@connection()
def _admin_events(after):
    """[(id, its number in the chain or None)] of the next admin events."""
    found = Event.select(Event.id, Link.number).left_outer_join(Link, on=(Link.event_id == Event.id))
    return list(found.where(Event.kind == Kind.ADMIN, Event.id > after).order_by(Event.id).limit(BATCH).tuples())
