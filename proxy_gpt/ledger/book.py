"""The ledger of one process: in Redis where there is one, in the database otherwise, and for as long as Redis is away."""
import logging

from redis import RedisError

from proxy_gpt import clock
from proxy_gpt.ledger.entries import Amounts
from proxy_gpt.ledger.shared import SharedLedger
from proxy_gpt.ledger.sql import SqlLedger
from proxy_gpt.ledger.transactions import transactions

logger = logging.getLogger(__name__)


class Book:
    """Reserves and settles."""

    def __init__(self, database, redis, longest_call):
        self.sql = SqlLedger(*transactions(database), longest_call)
        self.shared = SharedLedger(redis, self.sql.used, longest_call) if redis else None
        self.away = False

    def reserve(self, call):
        """Count the call, and hold what it may use. Raises Exceeded, or Unavailable when the database is away and needed."""
        if self.shared is None or not self._in_redis(self.shared.reserve, call):
            self.sql.reserve(call)

    def settle(self, settlement):
        """A call that reserved is over. In the database the shipper settles it, with the sums of the day."""
        if self.shared:  # what Redis misses because it is away, it takes from those sums when it is back
            self._in_redis(self.shared.settle, settlement)

    def begin_anew(self, whose):
        """A limit was set. What was used while there was none was settled in the database alone, where everything is."""
        if self.shared:
            self._in_redis(self.shared.begin_anew, whose)

    def now(self, caps):
        """The Amounts of each cap in its current period. Raises Unavailable."""
        moment = clock.to_text(clock.now())
        periods = [(cap.subject, moment[: cap.length]) for cap in caps]
        found = self._in_redis(self.shared.amounts, periods) if self.shared else None
        found = found or self.sql.amounts(periods)
        return [amounts or self._by_sums(*period) for period, amounts in zip(periods, found, strict=True)]

    def drop_over(self):
        """What nobody will settle counts as it was reserved, and what is over goes. In Redis both happen by themselves."""
        while self.sql.settle_expired():
            continue
        self.sql.drop_ended()

    def _by_sums(self, subject, period):
        tokens, money = self.sql.used(subject, period)
        return Amounts(tokens=tokens, money=money)

    def _in_redis(self, do, *args):
        """What a function of the ledger in Redis returns, or None while Redis is away."""
        try:
            result = do(*args)
        except RedisError as error:
            if not self.away:
                logger.warning("Redis does not keep the limits now (%s): the database does until it is back.", type(error).__name__)
            self.away = True
            return None
        self.away = False
        return result
