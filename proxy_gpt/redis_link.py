"""The connection to Redis: pooled with a bound, every wait with a bound, and no waiting at all while it is known to be away."""
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from proxy_gpt.outage import Outage

WAIT = 1  # seconds at most for a connection, an answer, or a free place in the pool
CONNECTIONS = 32


def connect(address):
    """A client for a redis:// address, as yet unconnected, that answers with text."""
    return redis.Redis(connection_pool=_pool(address))


class Link(redis.Redis):
    """The client of one process. Who meets a Redis that is away waits for it once; then its commands fail at once."""

    def __init__(self, address):
        super().__init__(connection_pool=_pool(address))
        self.outage = Outage("Redis", self._probe, redis.RedisError)

    def execute_command(self, *args, **options):
        """Ask Redis. Raises RedisError."""
        if self.outage.away:
            raise redis.ConnectionError("Redis is away.")
        try:
            return super().execute_command(*args, **options)
        except (redis.ConnectionError, redis.TimeoutError):
            self.outage.begin()
            raise

    def _probe(self):
        super().execute_command("PING")


def _pool(address):
    return redis.BlockingConnectionPool.from_url(
        address, max_connections=CONNECTIONS, timeout=WAIT, socket_timeout=WAIT, socket_connect_timeout=WAIT,
        retry=Retry(NoBackoff(), 0), health_check_interval=15, decode_responses=True,
    )  # fmt: skip
