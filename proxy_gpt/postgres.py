"""PostgreSQL, pooled: no wait for it is without a bound, and while it is away nobody but a background thread waits at all."""
import psycopg2
from peewee import OperationalError, PostgresqlDatabase
from playhouse.pool import PooledPostgresqlDatabase

from proxy_gpt.outage import Outage

WAIT = 5  # seconds at most for a connection, a free place in the pool, or a lock
QUERY = 10  # seconds at most for a statement: the server ends it then
HUNG = QUERY + 1  # seconds after which a server that has not ended it is no more waited for
CONNECTIONS = 20


class Postgres(PooledPostgresqlDatabase):
    """The pool of one process. `outage` is None where nobody watches."""

    outage = None

    def __init__(self, address):
        super().__init__(
            address, max_connections=CONNECTIONS, timeout=WAIT, stale_timeout=300,
            connect_timeout=WAIT, options=f"-c statement_timeout={QUERY * 1000} -c TimeZone=UTC",
        )  # fmt: skip

    def watch(self):
        """From now on, notice when the server is away, and when it is back."""
        self.outage = Outage("PostgreSQL", self._probe, psycopg2.Error)
        self.outage.on_return = self.close_idle  # after a restart of the server every pooled connection is dead

    def connect(self, reuse_if_open=False):
        """Take a connection. Raises OperationalError at once while the server is away."""
        self._refuse_while_away()  # before the locks, which somebody may hold who waits for the server
        return super().connect(reuse_if_open)

    def _connect(self):
        self._refuse_while_away()  # those who waited for the lock meanwhile need not all try again
        try:
            return super()._connect()
        except psycopg2.OperationalError:
            if self.outage:
                self.outage.begin()
            raise

    def _refuse_while_away(self):
        if self.outage and self.outage.away:
            raise OperationalError("PostgreSQL is away.")

    def _probe(self):
        connection = PostgresqlDatabase._connect(self)  # one of its own: a pooled one tells of the past
        try:
            connection.cursor().execute("SELECT 1")
        finally:
            connection.close()


def cooperate_with_gevent():
    """Let psycopg2 wait in gevent's loop, so that one slow query does not stop the other requests of the worker."""
    from gevent.monkey import is_module_patched
    from psycopg2 import extensions

    if is_module_patched("socket"):
        extensions.set_wait_callback(_wait)


def _wait(connection):
    """Wait for what a connection is busy with, for a bounded time: a server that hangs does not keep to its own."""
    from psycogreen.gevent import gevent_wait_callback
    from psycopg2.extensions import STATUS_SETUP

    try:
        gevent_wait_callback(connection, timeout=WAIT if connection.status == STATUS_SETUP else HUNG)
    except TimeoutError as error:
        raise psycopg2.OperationalError("PostgreSQL does not answer.") from error
