"""What the ledgers speak of: caps, the periods they are for, and what a call holds of each."""
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

MINUTE, DAY, MONTH = 16, 10, 7  # characters of an RFC 3339 time that name the period it is in
LENGTHS = {"minute": MINUTE, "day": DAY, "month": MONTH}
UNLIMITED = 1 << 62
MARGIN = timedelta(minutes=10)  # after the longest that a call may take, its hold is nobody's any more
KEPT = timedelta(hours=2)  # a period that is over stays for calls whose body came slowly


class Cap(NamedTuple):
    """What a subject may use in each period of one length; UNLIMITED where nothing is said."""

    subject: str
    length: int
    requests: int = UNLIMITED
    tokens: int = UNLIMITED
    money: int = UNLIMITED  # in billionths


class Amounts(NamedTuple):
    """What a subject has used in a period, and what is held for its calls under way."""

    requests: int = 0
    tokens: int = 0
    money: int = 0
    held_tokens: int = 0
    held_money: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to go upstream: its event's id and time, the caps it comes under, and what it may use."""

    id: str
    timestamp: str
    caps: tuple
    tokens: int = 0
    money: int = 0

    def periods(self):
        """The (subject, period) of each cap, in the order in which all who lock them do so."""
        return [(cap.subject, self.timestamp[: cap.length]) for cap in self.caps]

    def fits(self, amounts):
        """Whether there is room for it in each of its periods."""
        return all(
            used.requests < cap.requests and used.tokens + used.held_tokens + self.tokens <= cap.tokens
            and used.money + used.held_money + self.money <= cap.money
            for cap, used in zip(self.caps, amounts, strict=True)
        )  # fmt: skip


class Settlement(NamedTuple):
    """How a call ended. What it used counts as it was reserved where it is None, and at least so where it is not `exact`."""

    id: str
    timestamp: str
    subjects: tuple
    tokens: int | None = 0
    money: int | None = 0
    exact: bool = True

    def periods(self):
        """Each (subject, period) that the call may belong to."""
        return [(subject, self.timestamp[:length]) for subject in self.subjects for length in LENGTHS.values()]

    def amounts(self, tokens, money):
        """The (tokens, money) that it counts for, where so much was reserved."""
        return self._counted(self.tokens, tokens), self._counted(self.money, money)

    def _counted(self, used, reserved):
        if used is None:
            return reserved
        return used if self.exact else max(used, reserved)


class Exceeded(Exception):
    """A call was refused: `amounts` is what was used and held of each of its caps."""

    def __init__(self, call, amounts):
        super().__init__(call, amounts)
        self.call, self.amounts = call, amounts


def bounds_use(caps):
    """Whether caps bound more than requests."""
    return any(cap.tokens != UNLIMITED or cap.money != UNLIMITED for cap in caps)


def subject(kind, identity):
    """How the ledger names a user or team."""
    return f"{kind}:{identity}"


def end_of(period):
    """The moment at which a period is over."""
    if len(period) == MONTH:
        year, month = map(int, period.split("-"))
        return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=timezone.utc)
    form, length = ("%Y-%m-%d", timedelta(days=1)) if len(period) == DAY else ("%Y-%m-%dT%H:%M", timedelta(minutes=1))
    return datetime.strptime(period, form).replace(tzinfo=timezone.utc) + length
