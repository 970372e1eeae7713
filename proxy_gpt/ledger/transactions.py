"""Short transactions for the ledger, that begin as writers: on SQLite beside the models' pool, on PostgreSQL in it."""
import sqlite3
import threading
import time
from contextlib import contextmanager

from proxy_gpt import db
from proxy_gpt.errors import Unavailable
from proxy_gpt.models import proxy

WAIT = 5  # seconds at most for SQLite's lock
PAUSE = 0.002  # seconds between tries: SQLite's own waiting would stop gevent's loop


class SqliteTransactions:
    """On one connection of a process, whose greenlets take turns: none of them lets go of the loop within a transaction."""

    def __init__(self, path):
        self.path = path
        self.connection = None  # until it is needed: the file may be locked when a worker starts
        self.turn = threading.Lock()  # of those who wait for SQLite's lock one tries, the others wait behind it

    @contextmanager
    def __call__(self):
        """A transaction. Yields a function from a statement with ? and its values to a cursor. Raises Unavailable."""
        try:
            self._begin()
            yield self.connection.execute
            self.connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise Unavailable(db.FULL if error.sqlite_errorcode == sqlite3.SQLITE_FULL else db.AWAY) from error
        finally:
            if self.connection is not None and self.connection.in_transaction:
                self.connection.rollback()

    def _begin(self):
        if self._is_locked():
            if not self.turn.acquire(timeout=WAIT):
                raise Unavailable(db.AWAY)
            try:
                self._wait()
            finally:
                self.turn.release()

    def _wait(self):
        deadline = time.monotonic() + WAIT
        while self._is_locked():
            if time.monotonic() > deadline:
                raise Unavailable(db.AWAY)
            time.sleep(PAUSE)

    def _is_locked(self):
        """Whether somebody else writes; otherwise the transaction has begun."""
        try:
            self.connection = self.connection or _opened(self.path)
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return True
        return False


def _opened(path):
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = normal")  # as for the others, see `db`
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # takes long: the shipper, in a thread, does it
    return connection


@contextmanager
def postgres_transaction():
    """A transaction on a connection of the models' pool. Yields the same as that of SQLite. Raises Unavailable."""
    with db.transaction():
        yield executor(proxy.obj)


def executor(database):
    """A function from a statement with ? and its values to a cursor, whatever the database calls a parameter."""
    if database.param == "?":
        return database.execute_sql
    return lambda statement, values=(): database.execute_sql(statement.replace("?", database.param), values)


def transactions(address):
    """The transactions of this process on a checked database address, and whether it is PostgreSQL."""
    return (postgres_transaction, True) if db.is_postgres(address) else (SqliteTransactions(address), False)
