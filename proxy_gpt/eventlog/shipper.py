"""Moves events from journals into the events table, in batches, each event once, and adds up what they used."""
import logging
import shutil
import sqlite3

import psycopg2

from proxy_gpt import clock
from proxy_gpt.eventlog import journal, rollup
from proxy_gpt.eventlog.record import COLUMNS, DEFAULTS, Outcome
from proxy_gpt.ledger import settling, sql
from proxy_gpt.ledger.transactions import executor
from proxy_gpt.models import Event

BATCH_BYTES = 256 << 10  # journal read at once: bounds memory and the time a transaction takes
REFUSED = (psycopg2.DataError, sqlite3.DataError, ValueError, OverflowError)  # the row's fault, not the database's
logger = logging.getLogger(__name__)


class Shipper:
    """Reads this process's journal from where it stopped, and whole journals of dead processes."""

    def __init__(self, database, writer):
        self.database = database
        self.writer = writer
        self.path = writer.segments()[0]
        self.offset = 0

    def ship(self):
        """Move what the journal has by now. Raises what the database raises; nothing is lost by that."""
        while True:
            following = [path for path in self.writer.segments() if path > self.path]
            self._ship_segment()
            if not following:
                return
            self.path.unlink()
            self.path, self.offset = following[0], 0

    def finish(self):
        """Move the rest when nothing more will be written, and drop the journal."""
        self.ship()
        self.path.unlink()

    def recover(self, folder):
        """Move what dead processes left. A request they had sent upstream without knowing its end is `interrupted`.

        Yields the ids of those; a folder goes when the caller has done with its ids.
        """
        for dead in journal.take_over(folder):
            intents = {}
            for path in journal.segments(dead):
                for lines, _ in read_lines(path, 0):
                    rows = outcomes(lines, intents)
                    self._insert(rows)
            self._insert([_interrupted(row) for row in intents.values()])
            yield list(intents)
            shutil.rmtree(dead)

    def _ship_segment(self):
        for lines, end in read_lines(self.path, self.offset):
            self._insert(outcomes(lines))
            self.offset = end

    def _insert(self, rows):
        """Insert the rows; one that the database will never take must not stop those around it."""
        try:
            self._insert_all(rows)
        except REFUSED as error:
            if len(rows) > 1:
                for row in rows:
                    self._insert([row])
            else:
                logger.error("The database refuses the event %s (%s): it is lost.", rows[0][0], type(error).__name__)

    def _insert_all(self, rows):
        if not rows:
            return
        with self.database.connection_context(), self.database.atomic():
            cursor, statement, new, now = self.database.cursor(), self._statement(), [], clock.microseconds()
            for row in rows:
                # An event that is there already came before a kill: the journal is read again, the row stays one.
                cursor.execute(statement, [*row, now])
                if cursor.rowcount == 1:
                    new.append(row)
            rollup.add(cursor, new)
            sql.settle(executor(self.database), settling.settlements_of_rows(new, COLUMNS))

    def _statement(self):
        sql, _ = Event.insert(dict.fromkeys((*COLUMNS, "stored_at"))).on_conflict_ignore().sql()
        return sql


def read_lines(path, offset):
    """Yield (whole lines, offset behind them) in bounded pieces; a line still being written stays for later.

    The file may grow meanwhile, even between the two halves of a line.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        rest = b""
        while piece := file.read(BATCH_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            offset += sum(map(len, lines)) + len(lines)
            if lines:
                yield lines, offset


def outcomes(lines, intents=None):
    """The rows of whole events in these lines; `intents`, where given, gets and loses those that wait for their outcome."""
    rows = []
    for line in lines:
        if intents is None and line.startswith(journal.INTENT):
            continue
        try:
            kind, row = journal.parse(line)
        except ValueError:  # torn by the kill: its intent, a line before, tells the story
            continue
        row += [DEFAULTS[name] for name in COLUMNS[len(row) :]]  # an older version wrote it: new columns come last
        if kind == journal.OUTCOME:
            rows.append(row)
        if intents is not None:
            intents[row[0]] = row
            if kind == journal.OUTCOME:
                del intents[row[0]]
    return rows


def _interrupted(row):
    values = dict(zip(COLUMNS, row, strict=True))
    values["outcome"] = Outcome.INTERRUPTED
    values["message"] = "The proxy's process ended while the request was under way."
    return list(values.values())
