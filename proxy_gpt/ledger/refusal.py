"""What somebody is told whose limit is reached: which limit, whose, how far it is used, and when it is free again."""
from datetime import timedelta
from math import ceil
from typing import NamedTuple

from proxy_gpt import clock, money
from proxy_gpt.errors import LimitReached, NotFound, Unavailable
from proxy_gpt.ledger.entries import DAY, MINUTE, MONTH, UNLIMITED, Cap, end_of
from proxy_gpt.rules import teams

PERIOD = {MINUTE: "minute", DAY: "day", MONTH: "month"}
SOON = timedelta(minutes=1)  # who need not wait for longer may be retried by a client on its own


class Gauge(NamedTuple):
    """One limit of a call: how much of it is used and held, and what the call needs."""

    cap: Cap
    period: str
    what: str
    most: int
    used: int
    held: int
    need: int

    @property
    def is_full(self):
        """Whether there is no room for the call."""
        return self.used + self.held + self.need > self.most

    @property
    def is_too_small(self):
        """Whether there never will be."""
        return self.need > self.most

    @property
    def remaining(self):
        """What is left."""
        return max(0, self.most - self.used - self.held)

    def seconds(self):
        """After how many seconds it may be tried again: at once when nothing but calls under way stand in the way."""
        if self.used + self.need <= self.most:
            return 1
        return max(1, ceil((end_of(self.period) - clock.now()).total_seconds()))


def limit_reached(exceeded, currency):
    """The LimitReached for a call that was refused."""
    gauges = [gauge for line in zip(exceeded.call.caps, exceeded.amounts, strict=True) for gauge in _gauges(exceeded.call, *line)]
    full = max((gauge for gauge in gauges if gauge.is_full), key=lambda gauge: (gauge.is_too_small, gauge.seconds()))
    seconds = full.seconds()
    headers = {**_figures("requests", gauges), **_figures("tokens", gauges)}
    if not full.is_too_small:
        headers["Retry-After"] = str(seconds)
    if full.is_too_small or seconds > SOON.total_seconds():
        headers["x-should-retry"] = "false"
    return LimitReached(_sentence(full, seconds, currency), headers, is_budget=full.cap.length != MINUTE)


def _gauges(call, cap, amounts):
    period = call.timestamp[: cap.length]
    for what, most, used, held, need in (
        ("requests", cap.requests, amounts.requests, 0, 1),
        ("tokens", cap.tokens, amounts.tokens, amounts.held_tokens, call.tokens),
        ("money", cap.money, amounts.money, amounts.held_money, call.money),
    ):
        if most != UNLIMITED:
            yield Gauge(cap, period, what, most, used, held, need)


def _figures(what, gauges):
    """The headers that OpenAI's clients know, for the limit of which the least is left."""
    found = min((gauge for gauge in gauges if gauge.what == what), key=lambda gauge: (gauge.remaining, gauge.cap.length), default=None)
    if found is None:
        return {}
    reset = max(1, ceil((end_of(found.period) - clock.now()).total_seconds()))
    return {f"x-ratelimit-limit-{what}": str(found.most), f"x-ratelimit-remaining-{what}": str(found.remaining),
            f"x-ratelimit-reset-{what}": f"{reset}s"}  # fmt: skip


def _sentence(gauge, seconds, currency):
    def shown(amount):
        return f"{money.to_text(amount)} {currency}" if gauge.what == "money" else f"{amount} {gauge.what}"

    used = f"{_whose(gauge.cap.subject)} limit is {shown(gauge.most)} a {PERIOD[gauge.cap.length]}; {shown(gauge.used)} used"
    held = f", {shown(gauge.held)} held for calls under way" if gauge.held else ""
    need = f", and this call may need {shown(gauge.need)}" if gauge.what != "requests" else ""
    return f"{used}{held}{need}. {_advice(gauge, seconds)}"


def _advice(gauge, seconds):
    if not gauge.most:
        return "It allows nothing: ask the operator for more."
    if gauge.is_too_small:
        return "That is more than the whole of it: ask for less, for instance by max_tokens, or ask the operator for more."
    if gauge.cap.length == MINUTE or seconds == 1:
        return f"Try again in {seconds} second{'s' if seconds > 1 else ''}."
    return f"It begins anew at {end_of(gauge.period):%Y-%m-%dT%H:%M:%SZ}; until then, ask the operator for more."


def _whose(subject):
    kind, _, identity = subject.partition(":")
    if kind == "user":
        return "Your"
    try:
        return f"The team '{teams.by_id(identity).name}': its"
    except (NotFound, Unavailable):  # it was just deleted, or nobody can say now
        return f"The team {identity}: its"
