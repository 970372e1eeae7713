"""Opening the database: SQLite or PostgreSQL, pooled with a bound, every wait with a bound."""
import logging
import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import peewee
import psycopg2
from playhouse.pool import MaxConnectionsExceeded, PooledSqliteDatabase

from proxy_gpt import migrations, owner_only
from proxy_gpt.errors import Unavailable
from proxy_gpt.models import proxy
from proxy_gpt.postgres import CONNECTIONS, WAIT, Postgres

UPGRADE = 600  # seconds at most for a statement that changes the tables on PostgreSQL, or for somebody else's
AWAY = "The database cannot be reached now. Try again in a few seconds."
FULL = "The database's disk is full: what you sent was not kept. Tell the operator, and try again later."
SCHEMA_LOCK = 0x70726F787967  # any number that no other program of this database uses

SQLITE_PRAGMAS = {
    "journal_mode": "wal",  # readers and the writer do not stop each other
    "synchronous": "normal",  # a killed process loses nothing; a power cut may lose the last moments, never the file
    "busy_timeout": WAIT * 1000,
    "foreign_keys": 1,
}
logger = logging.getLogger(__name__)


def open_database(address, checkpoints=True):
    """The database at a checked address (see `setting_values.check_database`), as yet unconnected.

    Without `checkpoints` a commit on SQLite never takes long; somebody else must make them, in a thread.
    """
    if is_postgres(address):
        return Postgres(address)
    pragmas = SQLITE_PRAGMAS if checkpoints else {**SQLITE_PRAGMAS, "wal_autocheckpoint": 0}
    return PooledSqliteDatabase(address, max_connections=CONNECTIONS, timeout=WAIT, pragmas=pragmas, check_same_thread=False)


def is_postgres(address):
    """Whether a checked database address means PostgreSQL."""
    return address.startswith("postgresql://")


def use(database):
    """Make the models use this database. It may be away for now."""
    proxy.initialize(database)


def watch(database):
    """From now on, notice in the background when the database is away. SQLite never is."""
    if isinstance(database, Postgres):
        database.watch()


def is_doubted():
    """Whether the database was asked in vain a moment ago: who can do without its answer need not wait for it."""
    outage = getattr(proxy.obj, "outage", None)
    return outage is not None and outage.doubted


def suspect():
    """Somebody waited for the database in vain."""
    outage = getattr(proxy.obj, "outage", None)
    if outage is not None:
        outage.suspect()


def bind(database):
    """Make the models use this database, and make or upgrade its tables, once however many start together.

    Raises SettingError when the tables are newer than this program.
    """
    use(database)
    if isinstance(database, peewee.SqliteDatabase):
        _restrict(os.path.realpath(database.database))
    with database.connection_context(), _schema_lock(database):
        migrations.bring_up_to_date(database)


def _restrict(path):
    """Let only the owner use a SQLite file and its companions."""
    owner_only.create(path)  # before SQLite does, as the umask says
    for name in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):  # new ones get the rights of the file itself
        owner_only.restrict(name)


def leave_one_file(address):
    """Put into an SQLite file what SQLite keeps beside it, now that its processes are gone: a copy put in its place would get it.

    SQLite does so when the last connection is closed, without waiting for a lock; workers that end together, or are killed, do not.
    """
    if is_postgres(address):
        return
    try:
        with closing(sqlite3.connect(f"{Path(address).absolute().as_uri()}?mode=rw", timeout=0, uri=True)) as connection:
            connection.execute("PRAGMA wal_checkpoint")
    except sqlite3.Error as error:  # somebody has locked it, or the disk is full: the next start takes what is beside it
        logger.warning("What SQLite keeps beside its file stays there (%s).", error.sqlite_errorname)


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
        suspect()
        raise Unavailable(FULL if _is_full(error) else AWAY) from error


@contextmanager
def without_waiting_for_locks():
    """A connection for work in the background, which can be done later: where SQLite is locked, raise Unavailable at once.

    SQLite's waiting would stop gevent's loop; PostgreSQL's does not.
    """
    with connection():
        if not isinstance(proxy.obj, peewee.SqliteDatabase):
            yield
            return
        proxy.execute_sql("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            proxy.execute_sql(f"PRAGMA busy_timeout = {WAIT * 1000}")


def is_damaged(error):
    """Whether the SQLite file is damaged, or none at all."""
    return any(getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) for cause in _causes(error))


def _is_full(error):
    """Whether a full disk is behind it, if only as the reason why a transaction could not be rolled back either."""
    return any(
        isinstance(cause, psycopg2.errors.DiskFull) or getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL for cause in _causes(error)
    )


def _causes(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def transaction():
    """A transaction on a pooled connection, all or nothing, that may read before it writes.

    SQLite refuses a transaction that has read and then writes when somebody else wrote in between, but lets one that
    begins as a writer wait for its turn.
    """
    with connection(), proxy.atomic(*(("IMMEDIATE",) if isinstance(proxy.obj, peewee.SqliteDatabase) else ())):
        yield
