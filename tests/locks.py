"""Another process that holds the lock on a SQLite database, as a backup or a forgotten shell would."""
import contextlib
import subprocess
import sys

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(database):
    """The database (`sqlite:///path`) can be read but not written by others during the block."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, database.removeprefix("sqlite:///")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.communicate("")
