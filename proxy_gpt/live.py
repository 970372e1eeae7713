"""What this process has open: calls to the upstream, prompts that wait for their reply, and who listens to a chat.

Nothing is counted for it while a request is served: all of it is known to those who end it when they must.
"""
import logging
import os
import socket
import threading
import time

from proxy_gpt import clock, db
from proxy_gpt.errors import Unavailable
from proxy_gpt.eventlog.policy import may_keep
from proxy_gpt.ids import new_id
from proxy_gpt.rules import processes

INTERVAL = 2  # seconds between words about it to the database
SOON = 0.2  # seconds until the next try where SQLite was locked
LONG = 1  # seconds after which something is worth a word: most calls are over before
MOST = 200  # things told of
LONGEST_TEXT = 100  # characters of an endpoint or a model's name, which callers choose
logger = logging.getLogger(__name__)


def items(process):
    """All of it. Each has a `kind` (call, prompt, sse, websocket), a `record`, and `progress()`: its model and bytes so far."""
    watched = [exchange.about for exchange in tuple(process.watch.exchanges.values())]
    return [item for item in (*watched, *tuple(process.prompts.streamed)) if item is not None]


class Reporter:
    """Tells the database what is open, as long as something is."""

    def __init__(self, process):
        self.process = process
        self.who = new_id(), socket.gethostname()[:254], os.getpid(), clock.now()
        self.told = False  # whether the database has a row about this process

    def start(self):
        """Do it in the background from now on."""
        threading.Thread(target=self._run, name="live", daemon=True).start()

    def tell(self):
        """Say how things stand. Returns whether it was possible."""
        since = time.perf_counter() - LONG
        opened = sorted((item for item in items(self.process) if item.record.started < since), key=lambda item: item.record.id)
        if not (opened or self.told):
            return True
        try:
            with db.without_waiting_for_locks():
                self._write(opened)
        except Unavailable as error:  # the next time
            logger.debug("What is open was not told: %s", error.message)
            return False
        self.told = bool(opened)
        return True

    def _write(self, opened):
        if opened:
            processes.report(*self.who, {"items": [_shown(item) for item in opened[:MOST]], "more": max(0, len(opened) - MOST)})
        else:
            processes.forget(self.who[0])

    def _run(self):
        pause = threading.Event()
        while not self.process.log.closing:
            pause.wait(INTERVAL if self.tell() else SOON)

    def close(self):
        """Nothing is open any more."""
        if self.told:
            self.tell()


def _shown(item):
    model, size = item.progress()
    record = item.record
    texts = {"method": record.method, "endpoint": record.endpoint.replace("\0", "\ufffd"), "model": model}
    return {
        "id": record.id, "kind": item.kind, "user_id": record.user_id, "since": record.timestamp, "bytes": size,
        **{name: text[:LONGEST_TEXT] if may_keep(record.capture, name) else "" for name, text in texts.items()},
    }  # fmt: skip
