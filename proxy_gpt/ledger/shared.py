"""The ledger in Redis, for all workers. A call is settled when it ends; what Redis lost is taken from the sums in the database."""
import time

from redis import RedisError

from proxy_gpt.ledger import scripts
from proxy_gpt.ledger.entries import KEPT, MARGIN, MINUTE, Amounts, Exceeded, end_of

PREFIX = "proxy-gpt:ledger:"
ERA, HOLDS, EXPIRIES = (PREFIX + name for name in ("era", "holds", "expiries"))
FIELDS = Amounts._fields


class SharedLedger:
    """The ledger in one Redis. `used` returns the (tokens, money) of a subject in a period by the sums in the database."""

    def __init__(self, client, used, longest_call):
        self.client = client
        self.used = used
        self.lifetime = longest_call + MARGIN.total_seconds()
        self.reserve_script = client.register_script(scripts.RESERVE)
        self.settle_script = client.register_script(scripts.SETTLE)
        self.close_script = client.register_script(scripts.CLOSE)
        self.missed = False  # whether Redis may not know of something that it should

    def reserve(self, call):
        """Count the call, and hold what it may use; returns True.

        Raises Exceeded, RedisError, or Unavailable when a period begins while the database is away.
        """
        result, *amounts = self._reserve(call, [("", "")] * len(call.caps))
        if result == "unopened":  # the sums are read after the periods are there: what ends meanwhile is counted, if twice
            result, *amounts = self._reserve(call, [self.used(*period) for period in call.periods()])
        if result == "full":
            raise Exceeded(call, [_amounts(amounts[start : start + len(FIELDS)]) for start in range(0, len(amounts), len(FIELDS))])
        return True

    def settle(self, settlement):
        """Put what the call used in the place of what was held for it. Raises RedisError."""
        used = map(_text, (settlement.tokens, settlement.money))
        self._run(self.settle_script, settlement.periods(), [settlement.id, *used, int(settlement.exact)])

    def begin_anew(self, whose):
        """Take what a subject, or each of `every-user` or `every-team`, used from the sums again: they have what nobody told Redis of."""
        beginning = f"{whose}|" if ":" in whose else whose.removeprefix("every-") + ":"
        for key in self.client.scan_iter(f"{PREFIX}{beginning}*", count=1000):
            if len(key.rpartition("|")[2]) != MINUTE:  # which has no sums
                self.close_script([key])

    def amounts(self, periods):
        """The Amounts of each (subject, period), None where Redis does not know it. Raises RedisError."""
        era = self.client.get(ERA) or "0"
        found = [self.client.hmget(_key(period), "era", "opened", *FIELDS) for period in periods]
        return [_amounts(values) if opened and began == era else None for began, opened, *values in found]

    def _reserve(self, call, used):
        now = time.time()
        values = [call.id, now, now + self.lifetime, call.tokens, call.money]
        for cap, (_, period), base in zip(call.caps, call.periods(), used, strict=True):
            base = (0, 0) if cap.length == MINUTE else base
            values += [int((end_of(period) + KEPT).timestamp()), cap.requests, cap.tokens, cap.money, *base]
        return self._run(self.reserve_script, call.periods(), values)

    def _run(self, script, periods, values):
        """Run a script there. What this process could not tell Redis ends the era: the sums in the database know better."""
        try:
            if self.missed:
                self.client.incr(ERA)
                self.missed = False
            return script([ERA, HOLDS, EXPIRIES, *map(_key, periods)], values)
        except RedisError:
            self.missed = True
            raise


def _text(amount):
    return "" if amount is None else amount


def _key(period):
    return PREFIX + "|".join(period)


def _amounts(values):
    return Amounts(*map(int, values))
