"""Somebody else who holds a lock on the database, as a backup or a forgotten shell would."""
import contextlib
import subprocess
import sys

import psycopg2

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def locked(database):
    """The events can be read but not written by others during the block."""
    return _locked_sqlite(database) if database.startswith("sqlite:///") else _locked_postgres(database)


@contextlib.contextmanager
def _locked_postgres(database):
    with contextlib.closing(psycopg2.connect(database)) as connection:
        connection.cursor().execute("LOCK TABLE events IN EXCLUSIVE MODE")
        yield


@contextlib.contextmanager
def _locked_sqlite(database):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, database.removeprefix("sqlite:///")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.communicate("")
