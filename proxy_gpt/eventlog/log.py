"""The log of one process: takes records, and ships them in the background."""
import collections
import contextlib
import logging
import threading
import time

from proxy_gpt import offload
from proxy_gpt.errors import Unavailable
from proxy_gpt.eventlog import journal
from proxy_gpt.eventlog.shipper import Shipper
from proxy_gpt.eventlog.strangers import Strangers

INTERVAL = 0.2  # seconds between shipments: the longest a row waits, and four transactions a second at the most
PATIENCE = 5.0  # seconds between tries while the database is away
MOST_UNWRITTEN = 1000  # events kept in memory while the journal's disk is full; of others the journal has the intent, if any
MOST_COUNTS = 100  # of strangers, written at once: more would hold up the requests
NO_ROOM = "The request cannot be recorded, since the journal's disk is full, so it was not sent. Tell the operator, and try again later."
Waiting = collections.namedtuple("Waiting", "bytes in_memory seconds")
logger = logging.getLogger(__name__)


class EventLog:
    """Where requests are recorded. Open it after the fork: it starts a thread (a greenlet under gevent)."""

    def __init__(self, database, folder, on_interrupted, on_finished):
        self.folder = folder
        self.on_interrupted = on_interrupted  # told the ids of requests that ended with another process
        self.on_finished = on_finished  # told of each request that is over, and whether it is kept
        self.journal = journal.Journal(folder)
        self.shipper = Shipper(database, self.journal)
        self.strangers = Strangers()
        self.unwritten = collections.deque(maxlen=MOST_UNWRITTEN)  # (event id, row) for the journal, the oldest first
        self.full = False
        self.behind_since = self.shipping_since = None  # when the first event was finished that the next shipment has, or this one
        self.recovered = False  # whether what dead processes left is in the database
        self.work = threading.Event()
        self.work.set()
        self.closing = False
        self.thread = threading.Thread(target=self._run, name="event-shipper", daemon=True)
        self.thread.start()

    def intend(self, record, presumed):
        """The request is about to go upstream: from here on it has a row, whatever happens to this process.

        `presumed` are columns that only count if the process does not live to know better. Raises Unavailable when a row
        cannot be promised.
        """
        try:
            self.journal.intend(record.id, record.row(**presumed))
        except OSError as error:
            raise Unavailable(NO_ROOM) from error

    def finish(self, record, kept=True):
        """The request is over. The answer is out already, so that nothing may go wrong here any more.

        One that is not `kept` leaves no event, and one of a stranger may be counted instead. Returns whether it has a row.
        """
        if kept and record.user_id is None:
            kept = self.strangers.admit(record)
        self.on_finished(record, kept)
        if kept:
            self._add([(record.id, record.row())])
        return kept

    def _add(self, rows):
        self.unwritten.extend(rows)
        self._write()
        self.behind_since = self.behind_since or time.monotonic()
        self.work.set()

    def waiting(self):
        """What the database does not have yet: bytes in the journal, events in memory, and for how long it has been so."""
        size = -self.shipper.offset
        with contextlib.suppress(FileNotFoundError):  # shipped meanwhile
            size += sum(path.stat().st_size for path in self.journal.segments() if path >= self.shipper.path)
        now = time.monotonic()
        return Waiting(max(0, size), len(self.unwritten), now - (self.shipping_since or self.behind_since or now))

    def close(self, wait=10):
        """Ship what is left, for so many seconds at the most; the rest stays in the journal for the next start."""
        self.strangers.end()
        while rows := self.strangers.take(MOST_COUNTS):
            self._add(rows)
        self.closing = True
        self.work.set()
        self.thread.join(wait)
        self.journal.close()

    def _write(self):
        """Write what is to be written, in its order; what the disk has no room for waits in memory, the newest at least."""
        try:
            while self.unwritten:
                self.journal.finish(*self.unwritten[0])
                self.unwritten.popleft()
            self.full = False
        except OSError as error:
            if not self.full:  # once, not for every event
                logger.error("Events wait in memory: the journal cannot be written (%s).", error.strerror)
            self.full = True

    def _run(self):
        pause = threading.Event()
        while not self.closing:
            self.work.wait(PATIENCE)
            if self.strangers.turn():
                self._add(self.strangers.take(MOST_COUNTS))
            elif not self.work.is_set():
                continue
            self.work.clear()
            self._write()
            self.shipping_since, self.behind_since = self.shipping_since or self.behind_since, None
            shipped = self._try(self._ship)
            if shipped:
                self.shipping_since = None
            if not self.closing:
                pause.wait(INTERVAL if shipped else PATIENCE)
            if self.unwritten or self.strangers.over or not shipped:
                self.work.set()
        self._write()
        self._try(lambda: offload.run(self.shipper.finish))

    def _ship(self):
        if not self.recovered:
            self._recover()
        offload.run(self.shipper.ship)

    def _recover(self):
        """Ship what dead processes left, and tell whose requests ended with them."""
        recovery = self.shipper.recover(self.folder)
        while (ids := offload.run(next, recovery, None)) is not None:
            self.on_interrupted(ids)
        self.recovered = True

    def _try(self, step):
        """Run one step of shipping; a failure costs nothing but time, since the journal keeps what was not shipped."""
        try:
            step()
            return True
        except Exception as error:  # whatever it is, the log must go on; the type says enough, a text may hold data
            logger.warning("Events wait in the journal: the database did not take them (%s).", type(error).__name__)
            return False
