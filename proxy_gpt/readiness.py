"""Whether this process can do its work: what it needs is asked at once, in bounded time, and once for all who want to know."""
import time

import gevent
from peewee import PeeweeException
from redis import RedisError

from proxy_gpt import db, migrations
from proxy_gpt.errors import Unavailable

PATIENCE = 2  # seconds for all checks together
FRESH = 0.5  # seconds for which an answer is given again: whoever reaches the address may ask
OK, AWAY, NEWER = "ok", "away", "newer"
MENDED = {
    "process": "it is stopping",
    "database": "the database cannot be reached",
    "tables": "the database's tables are older than this program",
    "journal": "the journal's disk is full",
}


class Readiness:
    """What one process knows of the things that it needs. `process` is a Proxy."""

    def __init__(self, process):
        self.process = process
        self.running = {}  # name -> the greenlet of a check: one that hangs must not be joined by another every second
        self.states, self.looked_at = {}, float("-inf")

    def look(self):
        """The state of each thing by name: "ok", or a word for what is wrong with it."""
        if time.monotonic() - self.looked_at > FRESH:
            checks = {"tables": tables_state, "redis": self._redis} if self.process.redis else {"tables": tables_state}
            running = {name: self._start(name, check) for name, check in checks.items()}
            gevent.wait(running.values(), timeout=PATIENCE)
            self.states = self._told(**{name: greenlet.value or AWAY for name, greenlet in running.items()})  # no value: it hangs
            self.looked_at = time.monotonic()
        return {"process": "stopping" if self.process.draining else OK, **self.states}

    def _told(self, tables, redis=None):
        states = {"database": AWAY if tables == AWAY else OK, "tables": "unknown" if tables == AWAY else tables}
        states["journal"] = "full" if self.process.log.full else OK
        return states if redis is None else {**states, "redis": redis}

    def _start(self, name, check):
        if name not in self.running or self.running[name].ready():
            self.running[name] = gevent.spawn(check)
        return self.running[name]

    def _redis(self):
        try:
            self.process.redis.ping()
            return OK
        except RedisError:
            return AWAY


def tables_state():
    """How the tables in use stand: "ok", "older" or "newer" than this program, or "away" with their database."""
    try:
        with db.without_waiting_for_locks():
            version = migrations.version_of(db.proxy.obj)
    except (Unavailable, PeeweeException):
        return AWAY
    return OK if version == migrations.NEWEST else "older" if version < migrations.NEWEST else NEWER


def missing(states):
    """(name, words) for each thing without which no request should be sent here.

    Not Redis, without which a worker works alone, and not tables that a newer program has upgraded while this one still
    serves: else an upgrade would take all old processes out of service before the first new one is there.
    """
    return [(name, words) for name, words in MENDED.items() if states[name] not in (OK, NEWER, "unknown")]
