"""Bounds what requests without a valid credential leave in the event log: a few rows a minute and address, then a count."""
import time

from proxy_gpt.client_ip import network
from proxy_gpt.eventlog.policy import FULL, may_keep
from proxy_gpt.eventlog.record import Outcome, Record

SECONDS = 60  # what is called a minute here
MOST_ROWS = 60  # of one address in a minute; the following requests are counted
MOST_ADDRESSES = 10_000  # in a minute; the rest share one count
LONGEST = 300  # characters of path and query together, and of each other text that the caller can shape
OTHERS = None  # stands for the rest


class Strangers:
    """Counts the requests of one process, by address."""

    def __init__(self):
        self.minute = None
        self.seen = {}  # by address: how many rows it has in this minute, then its Count
        self.over = []  # the Counts of minutes that are over

    def admit(self, record):
        """Shorten the record of a stranger. Return whether it may have a row; if not, it is counted."""
        self.turn()
        address = network(record.client_ip)
        if address not in self.seen and len(self.seen) >= MOST_ADDRESSES:
            address = OTHERS
        rows = self.seen.setdefault(address, 0)
        if isinstance(rows, Count):
            rows.number += 1
            return False
        if rows >= MOST_ROWS:
            self.seen[address] = Count(address, record)
            return False
        self.seen[address] = rows + 1
        _shorten(record)
        return True

    def turn(self):
        """Begin a new minute if it is time. Return whether there are counts to write."""
        minute = time.time() // SECONDS
        if minute != self.minute:
            self.minute = minute
            self.end()
        return bool(self.over)

    def end(self):
        """End the minute now."""
        self.over += [count for count in self.seen.values() if isinstance(count, Count)]
        self.seen = {}
        surplus, self.over = self.over[:-MOST_ADDRESSES], self.over[-MOST_ADDRESSES:]
        if surplus:  # they cannot be written now
            self.over[0].address = OTHERS
            self.over[0].number += sum(count.number for count in surplus)

    def take(self, most):
        """Return the rows of some counts of minutes that are over, as (event id, row), and forget them."""
        taken, self.over = self.over[:most], self.over[most:]
        return [(count.id, count.row()) for count in taken]


class Count:
    """How many requests of an address were not stored. Its row takes the place, and the id, of the first of them."""

    __slots__ = ("address", "id", "timestamp", "capture", "number")

    def __init__(self, address, record):
        self.address = address
        self.id, self.timestamp, self.capture = record.id, record.timestamp, record.capture
        self.number = 1

    def row(self):
        """Return the row that says it. Its sentence repeats nothing that was sent, so every capture policy keeps it."""
        address = self.address or "" if may_keep(self.capture, "client_ip") else ""
        record = Record(client_ip=address, capture=FULL)
        record.id, record.timestamp = self.id, self.timestamp
        came = "request without a valid token came" if self.number == 1 else "requests without a valid token came"
        where = "other addresses" if self.address is OTHERS else "this address"
        record.settle(Outcome.REFUSED, f"{self.number} more {came} from {where} in this minute.")
        return record.row()


def _shorten(record):
    record.endpoint = record.endpoint[:LONGEST]
    record.params = record.params[: LONGEST - len(record.endpoint)]
    for name in ("request", "response", "message"):
        setattr(record, name, getattr(record, name)[:LONGEST])
