"""The connection to Redis: pooled with a bound, every wait with a bound, no retries that add up."""
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

WAIT = 1  # seconds at most for a connection, an answer, or a free place in the pool
CONNECTIONS = 32


def connect(address):
    """A client for a redis:// address, as yet unconnected, that answers with text."""
    pool = redis.BlockingConnectionPool.from_url(
        address, max_connections=CONNECTIONS, timeout=WAIT, socket_timeout=WAIT, socket_connect_timeout=WAIT,
        retry=Retry(NoBackoff(), 0), health_check_interval=15, decode_responses=True,
    )  # fmt: skip
    return redis.Redis(connection_pool=pool)
