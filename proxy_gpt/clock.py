"""Times: RFC 3339, UTC, microseconds, always the same length, so that text order is time order."""
import time
from datetime import datetime, timezone

FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def now():
    """The time now, with its zone."""
    return datetime.now(timezone.utc)


def microseconds():
    """The time now as a whole number."""
    return time.time_ns() // 1000


def to_text(moment):
    """A moment as RFC 3339 text in UTC."""
    return moment.astimezone(timezone.utc).strftime(FORMAT)


def from_text(text):
    """The moment that `to_text` wrote."""
    return datetime.strptime(text, FORMAT).replace(tzinfo=timezone.utc)
