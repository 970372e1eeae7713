"""The log of one process: takes records, and ships them in the background."""
import logging
import threading

from proxy_gpt import offload
from proxy_gpt.eventlog import journal
from proxy_gpt.eventlog.shipper import Shipper

INTERVAL = 0.2  # seconds between shipments: the longest a row waits, and four transactions a second at the most
PATIENCE = 5.0  # seconds between tries while the database is away
logger = logging.getLogger(__name__)


class EventLog:
    """Where requests are recorded. Open it after the fork: it starts a thread (a greenlet under gevent)."""

    def __init__(self, database, folder, on_interrupted):
        self.folder = folder
        self.on_interrupted = on_interrupted  # told the ids of requests that ended with another process
        self.journal = journal.Journal(folder)
        self.shipper = Shipper(database, self.journal)
        self.recovered = False  # whether what dead processes left is in the database
        self.work = threading.Event()
        self.work.set()
        self.closing = False
        self.thread = threading.Thread(target=self._run, name="event-shipper", daemon=True)
        self.thread.start()

    def intend(self, record):
        """The request is about to go upstream: from here on it has a row, whatever happens to this process."""
        self.journal.intend(record.id, record.row())

    def finish(self, record):
        """The request is over."""
        self.journal.finish(record.id, record.row())
        self.work.set()

    def close(self, wait=10):
        """Ship what is left, for so many seconds at the most; the rest stays in the journal for the next start."""
        self.closing = True
        self.work.set()
        self.thread.join(wait)
        self.journal.close()

    def _run(self):
        pause = threading.Event()
        while not self.closing:
            self.work.wait()
            self.work.clear()
            shipped = self._try(self._ship)
            if not self.closing:
                pause.wait(INTERVAL if shipped else PATIENCE)
            if not shipped:
                self.work.set()
        self._try(self.shipper.finish)

    def _ship(self):
        if not self.recovered:
            for ids in self.shipper.recover(self.folder):
                self.on_interrupted(ids)
            self.recovered = True
        self.shipper.ship()

    def _try(self, function, *args):
        """Run one step of shipping; a failure costs nothing but time, since the journal keeps what was not shipped."""
        try:
            offload.run(function, *args)
            return True
        except Exception as error:  # whatever it is, the log must go on; the type says enough, a text may hold data
            logger.warning("Events wait in the journal: the database did not take them (%s).", type(error).__name__)
            return False
