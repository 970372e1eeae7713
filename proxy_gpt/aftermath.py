"""What comes of a request when it is over: it is counted, and has its line in the log. A moment later, and many at a time.

Done at once for each, it would cost several times as much: between two other requests nothing of it is in the CPU's caches.
"""
import collections
import logging
import threading
from operator import attrgetter

from proxy_gpt.errors import place_of

INTERVAL = 0.1  # seconds
NOTE_EVERY = 10  # intervals, between notes of how the process stands
MOST = 2000  # requests that wait; then they are not let wait any longer
FIELDS = (
    "id", "timestamp", "kind", "client_ip", "user_id", "method", "endpoint", "status", "outcome", "duration", "bytes_in", "bytes_out", "model",
    "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost", "first_byte", "capture",
)  # fmt: skip
Ended = collections.namedtuple("Ended", FIELDS)
_values = attrgetter(*FIELDS)  # not the record itself, which holds two bodies
logger = logging.getLogger(__name__)


class Aftermath:
    """The requests of one process that have just ended."""

    def __init__(self, tally, says):
        self.tally, self.says = tally, says
        self.ended = []

    def add(self, record, kept):
        """A request has ended. One that is not `kept` is counted alone."""
        self.ended.append((_values(record), kept))
        if len(self.ended) >= MOST:
            self.flush()

    def flush(self):
        """Count and tell what has ended by now."""
        ended, self.ended = self.ended, []
        for values, kept in ended:
            record = Ended._make(values)
            self.tally.count(record)
            if kept:
                self.says.request(record)

    def start(self, process):
        """Do it now and then from now on, and note how the process stands. `process` is a Proxy."""
        threading.Thread(target=self._run, args=(process,), name="aftermath", daemon=True).start()

    def _run(self, process):
        pause = threading.Event()
        intervals = 0
        while not process.log.closing:
            try:
                if intervals % NOTE_EVERY == 0:
                    self.tally.note(process)
                self.flush()
            except Exception as error:  # the next ones must not be lost for it; the text may hold what somebody sent
                logger.error("A request was not counted, or has no line: %s", place_of(error))
            self.says.hurry()
            intervals += 1
            pause.wait(INTERVAL)
