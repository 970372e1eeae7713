"""Opening the database: SQLite or PostgreSQL, pooled with a bound, every wait with a bound."""
import functools
from contextlib import contextmanager

import peewee
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase, PooledSqliteDatabase

from proxy_gpt import migrations
from proxy_gpt.errors import Unavailable
from proxy_gpt.models import proxy

WAIT = 5  # seconds at most for a connection, a lock or a free place in the pool
QUERY = 30  # seconds at most for a statement on PostgreSQL
UPGRADE = 600  # seconds at most for a statement that changes the tables on PostgreSQL, or for somebody else's
CONNECTIONS = 20
SCHEMA_LOCK = 0x70726F787967  # any number that no other program of this database uses

SQLITE_PRAGMAS = {
    "journal_mode": "wal",  # readers and the writer do not stop each other
    "synchronous": "normal",  # a killed process loses nothing; a power cut may lose the last moments, never the file
    "busy_timeout": WAIT * 1000,
    "foreign_keys": 1,
}


def open_database(address):
    """The database at a checked address (see `setting_values.check_database`), as yet unconnected."""
    if is_postgres(address):
        return PooledPostgresqlDatabase(
            address, max_connections=CONNECTIONS, timeout=WAIT, stale_timeout=300,
            connect_timeout=WAIT, options=f"-c statement_timeout={QUERY * 1000} -c TimeZone=UTC",
        )  # fmt: skip
    return PooledSqliteDatabase(
        address, max_connections=CONNECTIONS, timeout=WAIT, pragmas=SQLITE_PRAGMAS, check_same_thread=False
    )


def is_postgres(address):
    """Whether a checked database address means PostgreSQL."""
    return address.startswith("postgresql://")


def use(database):
    """Make the models use this database. It may be away for now."""
    proxy.initialize(database)


def bind(database):
    """Make the models use this database, and make or upgrade its tables, once however many start together.

    Raises SettingError when the tables are newer than this program.
    """
    use(database)
    with database.connection_context(), _schema_lock(database):
        migrations.bring_up_to_date(database)


@contextmanager
def _schema_lock(database):
    if isinstance(database, peewee.SqliteDatabase):
        with database.atomic("IMMEDIATE"):
            yield
    else:
        with database.atomic():
            database.execute_sql(f"SET LOCAL statement_timeout = '{UPGRADE}s'")
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            yield


@contextmanager
def connection():
    """A pooled connection for the `with` block or the decorated function, never across a `yield` to a client.

    Inside another one it is that one. Raises Unavailable when the database is away.
    """
    if not proxy.is_closed():
        yield
        return
    try:
        with proxy.connection_context():
            yield
    except (peewee.OperationalError, peewee.InterfaceError, MaxConnectionsExceeded) as error:
        proxy.close_idle()  # after a restart of the database every pooled connection is dead: start afresh
        raise Unavailable("The database cannot be reached now. Try again in a few seconds.") from error


@contextmanager
def transaction():
    """A transaction on a pooled connection, all or nothing, that may read before it writes.

    SQLite refuses a transaction that has read and then writes when somebody else wrote in between, but lets one that
    begins as a writer wait for its turn.
    """
    with connection(), proxy.atomic(*(("IMMEDIATE",) if isinstance(proxy.obj, peewee.SqliteDatabase) else ())):
        yield


def cooperate_with_gevent():
    """Let psycopg2 wait in gevent's loop, so that one slow query does not stop the other requests of the worker."""
    from gevent.monkey import is_module_patched
    from psycogreen.gevent import gevent_wait_callback
    from psycopg2 import extensions

    if is_module_patched("socket"):
        extensions.set_wait_callback(functools.partial(gevent_wait_callback, timeout=QUERY + WAIT))
