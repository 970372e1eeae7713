"""The ledger in the database, the same on SQLite and PostgreSQL: a row for each subject and period, a row for each call that holds.

What a call reserves is taken from every period in one short transaction, by conditional updates: all or nothing. It is settled
by the shipper, in the transaction that sums up the call's event in `usage_days`, so that the two never differ; until then it is held.
"""
import json
from collections import defaultdict
from datetime import timedelta

from proxy_gpt import clock
from proxy_gpt.errors import Unavailable
from proxy_gpt.ledger.entries import KEPT, MARGIN, MINUTE, MONTH, Amounts, Exceeded, end_of

TRIES = 20  # to take from periods that change between a look and the next
BATCH = 500  # ids in a statement
TAKE = (
    "UPDATE limit_periods SET requests = requests + 1, held_tokens = held_tokens + ?, held_money = held_money + ? "
    "WHERE subject = ? AND period = ? AND requests < ? AND tokens + held_tokens + ? <= ? AND money + held_money + ? <= ?"
)
HOLD = "INSERT INTO limit_holds (id, tokens, money, periods, expires_at) VALUES (?, ?, ?, ?, ?)"
LOOK = "SELECT requests, tokens, money, held_tokens, held_money FROM limit_periods WHERE subject = ? AND period = ?"
OPEN = (
    "INSERT INTO limit_periods (subject, period, ends_at, requests, tokens, money, held_tokens, held_money) "
    "VALUES (?, ?, ?, 0, ?, ?, 0, 0) ON CONFLICT DO NOTHING"
)
USED = "SELECT SUM(input_tokens) + SUM(output_tokens), SUM(cost) FROM usage_days WHERE {kind}_id = ? AND day BETWEEN ? AND ?"
CHANGE = (
    "UPDATE limit_periods SET tokens = tokens + ?, money = money + ?, held_tokens = held_tokens - ?, held_money = held_money - ? "
    "WHERE subject = ? AND period = ?"
)
ANYTHING = "SELECT 1 FROM limit_periods UNION ALL SELECT 1 FROM limit_holds LIMIT 1"
GONE = "SELECT id FROM limit_holds WHERE expires_at <= ? LIMIT ?"


class NotTaken(Exception):
    """A period has no room for the call, or no row yet. Rolls the transaction back."""


class SqlLedger:
    """The ledger in one database. `transaction` begins one as a writer, and yields the function that executes statements."""

    def __init__(self, transaction, is_postgres, longest_call):
        self.transaction = transaction
        self.is_postgres = is_postgres
        self.lifetime = timedelta(seconds=longest_call) + MARGIN

    def reserve(self, call):
        """Count the call, and hold what it may use. Raises Exceeded, or Unavailable when the database is away."""
        for _ in range(TRIES):
            try:
                with self.transaction() as execute:
                    return self._take(execute, call)
            except NotTaken:
                amounts = self.amounts(call.periods())
            if None in amounts:
                self._open([period for period, found in zip(call.periods(), amounts, strict=True) if found is None])
            elif not call.fits(amounts):  # else there is room now: somebody else was just settled
                raise Exceeded(call, amounts)
        raise Unavailable("Too many calls come at once to count them. Try again in a few seconds.")

    def amounts(self, periods):
        """The Amounts of each (subject, period), None where it has no row."""
        with self.transaction() as execute:
            rows = [execute(LOOK, period).fetchone() for period in periods]
        return [row and Amounts(*row) for row in rows]

    def used(self, subject, period):
        """(tokens, money) of a subject in a period, as the database has summed it up by day."""
        with self.transaction() as execute:
            return used(execute, subject, period)

    def settle_expired(self):
        """Count what is held for calls whose end nobody told as used. Returns whether there was any.

        If such an end is told later than that, the call counts twice: too much rather than nothing.
        """
        with self.transaction() as execute:
            ids = [row[0] for row in execute(GONE, (clock.to_text(clock.now()), BATCH)).fetchall()]
            holds = _take_back(execute, ids)
            changes = _given_back(holds)
            for tokens, money, periods in holds.values():
                for period in periods:
                    _add(changes[tuple(period)], tokens, money, 0, 0)
            _change(execute, changes)
        return bool(ids)

    def drop_ended(self):
        """Forget the periods that are over."""
        with self.transaction() as execute:
            execute("DELETE FROM limit_periods WHERE ends_at < ?", (clock.to_text(clock.now() - KEPT),))

    def _take(self, execute, call):
        for cap, period in zip(call.caps, call.periods(), strict=True):
            taken = execute(TAKE, (call.tokens, call.money, *period, cap.requests, call.tokens, cap.tokens, call.money, cap.money))
            if taken.rowcount != 1:
                raise NotTaken
        if call.tokens or call.money:
            expires_at = clock.to_text(clock.now() + self.lifetime)
            execute(HOLD, (call.id, call.tokens, call.money, json.dumps(call.periods()), expires_at))

    def _open(self, periods):
        """Begin periods with what was used in them without being counted here: before there was a limit, or before a row was lost."""
        with self.transaction() as execute:
            if self.is_postgres:  # what a shipper is just about to add must not fall between its row and ours; SQLite has one writer
                execute("LOCK TABLE usage_days IN SHARE ROW EXCLUSIVE MODE")
            for subject, period in periods:
                execute(OPEN, (subject, period, clock.to_text(end_of(period)), *used(execute, subject, period)))


def used(execute, subject, period):
    """(tokens, money) of a subject in a period, as it was summed up by day; nothing for a minute."""
    if len(period) == MINUTE:
        return 0, 0
    kind, _, identity = subject.partition(":")
    # Texts of one shape: between any others a PostgreSQL with a language's order finds nothing, or too much.
    first, last = (f"{period}-01", f"{period}-31") if len(period) == MONTH else (period, period)
    tokens, money = execute(USED.format(kind=kind), (identity, first, last)).fetchone()
    return int(tokens or 0), int(money or 0)


def settle(execute, settlements):
    """Put what calls used in the place of what was held for them, in the transaction that sums up the same events."""
    if execute(ANYTHING).fetchone() is None:  # nobody has limits
        return
    settlements = list(settlements)
    holds = _take_back(execute, [settlement.id for settlement in settlements])
    changes = _given_back(holds)
    for settlement in settlements:
        held_tokens, held_money, _ = holds.get(settlement.id, (0, 0, ()))
        tokens, money = settlement.amounts(held_tokens, held_money)
        for period in settlement.periods() if tokens or money else ():
            _add(changes[period], tokens, money, 0, 0)
    _change(execute, changes)


def _take_back(execute, ids):
    """Delete these holds; returns {id: (tokens, money, periods)} of those that were there."""
    found = {}
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        marks = ", ".join("?" * len(batch))
        rows = execute(f"DELETE FROM limit_holds WHERE id IN ({marks}) RETURNING id, tokens, money, periods", batch).fetchall()
        found |= {identity: (tokens, money, json.loads(periods)) for identity, tokens, money, periods in rows}
    return found


def _given_back(holds):
    changes = defaultdict(lambda: [0, 0, 0, 0])
    for tokens, money, periods in holds.values():
        for subject, period in periods:
            _add(changes[subject, period], 0, 0, tokens, money)
    return changes


def _add(sums, *amounts):
    sums[:] = map(sum, zip(sums, amounts, strict=True))


def _change(execute, changes):
    """In the order in which everybody locks the rows."""
    for period in sorted(changes):
        execute(CHANGE, (*changes[period], *period))
