"""How often a password may be tried in vain, and accounts be made: counted by `limits`, in Redis for all workers, or in memory.

Only failures count, in windows of five minutes that begin with the first one:

- of one account from one address: who guesses has few tries, and who mistypes waits five minutes at the most;
- from one address, whatever the accounts: who tries one password on everybody is stopped too;
- of one account from all addresses, ten times as many: who guesses from many addresses is stopped too.

The second and third do not count where the user has signed up or logged in within thirty days. So nobody can lock a user out of an
address of the user's own, but from that very address; and who is logged in stays so whatever happens here.
"""
import hashlib
import logging
import time
from contextlib import contextmanager

from limits import RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis import RedisError

from proxy_gpt.client_ip import network
from proxy_gpt.errors import TooMany, WrongOldPassword, WrongPassword

MINUTES = 5
KNOWN_DAYS = 30
ADDRESSES = 10  # times as many failures of an account are allowed from all addresses as from one
PAUSE = 2  # seconds for which Redis is not asked after it failed to answer: one caller waits for it, not all
PREFIX = "proxy-gpt:limits"
logger = logging.getLogger(__name__)


class Attempts:
    """The limits of one process, or with Redis of all."""

    def __init__(self, settings, client=None):
        self.counters = Counters(client)
        self.here = RateLimitItemPerMinute(settings.login_failures, MINUTES, "here")
        self.address = RateLimitItemPerMinute(settings.login_failures_address, MINUTES, "address")
        self.account = RateLimitItemPerMinute(settings.login_failures * ADDRESSES, MINUTES, "account")
        self.known = RateLimitItemPerDay(1, KNOWN_DAYS, "known")
        self.signups = RateLimitItemPerHour(settings.signups_per_hour, 1, "signups")

    @contextmanager
    def password(self, account, address):
        """The block tries a password for an account (the key of a username). Raises TooMany when that is one too many.

        Yields a function that looks again: to be called at the last moment, so that trying many at once is of no use.
        """
        who, where = digest(account), network(address)

        def look():
            self._check(who, where)

        look()
        try:
            yield look
        except (WrongPassword, WrongOldPassword):
            self._failed(who, where)
            raise
        self.remember(account, address)

    def remember(self, account, address):
        """The user has been at this address: what others do elsewhere is not held against the account there."""
        self.counters.hit(self.known, digest(account), network(address))

    def signup(self, address):
        """Count an account that is to be made. Raises TooMany."""
        if not self.counters.hit(self.signups, network(address)):
            raise self._too_many("Too many accounts were made from your address.", self.signups, network(address))

    def _check(self, who, where):
        if not self.counters.test(self.here, who, where):
            raise self._too_many("Too many wrong passwords for this account.", self.here, who, where)
        for limit, of_whom in ((self.address, where), (self.account, who)):
            if not self.counters.test(limit, of_whom) and self.counters.test(self.known, who, where):
                raise self._too_many(f"Too many wrong passwords {BY[limit.namespace]}.", limit, of_whom)

    def _failed(self, who, where):
        self.counters.hit(self.here, who, where)
        self.counters.hit(self.address, where)
        self.counters.hit(self.account, who)

    def _too_many(self, sentence, limit, *of_whom):
        seconds = self.counters.seconds_left(limit, *of_whom)
        return TooMany(f"{sentence} Try again in {seconds} seconds.", seconds)


BY = {"address": "from your address", "account": "for this account, from places where it is not used"}


class Counters:
    """Counts in fixed windows, by `limits`. While Redis is away each process counts for itself; nobody's login fails for that."""

    def __init__(self, client=None):
        self.own = FixedWindowRateLimiter(MemoryStorage())
        self.shared = client and FixedWindowRateLimiter(
            RedisStorage("redis://", connection_pool=client.connection_pool, key_prefix=PREFIX)
        )
        self.away = False
        self.ask_again_at = 0

    def test(self, limit, *of_whom):
        """Whether one more is allowed."""
        return self._ask("test", limit, *of_whom)

    def hit(self, limit, *of_whom):
        """Count one. Returns whether it was allowed."""
        return self._ask("hit", limit, *of_whom)

    def seconds_left(self, limit, *of_whom):
        """Whole seconds until the window ends."""
        return max(1, round(self._ask("get_window_stats", limit, *of_whom).reset_time - time.time() + 0.5))

    def _ask(self, name, limit, *of_whom):
        if self.shared and not (self.away and time.monotonic() < self.ask_again_at):
            self.ask_again_at = time.monotonic() + PAUSE  # when it is away, the others do not wait for it as well
            try:
                result = getattr(self.shared, name)(limit, *of_whom)
            except RedisError as error:
                self._note_away(error)
            else:
                self.away = False
                return result
        return getattr(self.own, name)(limit, *of_whom)

    def _note_away(self, error):
        if not self.away:
            logger.warning("Redis does not count logins now (%s): this process counts its own.", type(error).__name__)
        self.away = True
        self.ask_again_at = time.monotonic() + PAUSE


def digest(account):
    """A name of bounded length for an account, whatever somebody sent as its name; who reads Redis cannot read it."""
    return hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()
