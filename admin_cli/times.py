"""Times as an operator types them: a moment, a day, or how long ago, in UTC unless they say otherwise."""
import re
from datetime import datetime, timedelta, timezone

import click

from proxy_gpt import clock

AGO = re.compile(r"(\d{1,9}) ?([smhdw])( ago)?")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
HELP = "a time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31 (its first moment), or how long ago: 90s, 30m, 2h, 7d, 4w"


class Time(click.ParamType):
    """A parameter that becomes a datetime with a zone."""

    name = "time"

    def convert(self, value, param, ctx):
        """Read it. Fails with what it may be."""
        if isinstance(value, datetime):
            return value
        try:
            return _ago(value) or _moment(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is none of these: {HELP}.", param, ctx)


def _ago(text):
    match = AGO.fullmatch(text.strip())
    return match and clock.now() - timedelta(**{UNITS[match[2]]: int(match[1])})


def _moment(text):
    moment = datetime.fromisoformat(text.strip())
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


TIME = Time()
