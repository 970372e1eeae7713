"""Callers who leave: noticed while their answer is still awaited, so that the upstream's work for them ends at once.

A greenlet that waits for the upstream does not look at its caller. One thread of the process looks at all of them a few
times a second; that costs nothing for each piece that passes.
"""
import select
import threading

from gevent.monkey import get_original

INTERVAL = 0.25  # seconds
LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR  # RDHUP: Linux alone has it


class Watch:
    """Calls `cut()` of each exchange whose caller has closed the connection."""

    def __init__(self):
        # gevent has a poll of its own, for waiting; this one never waits.
        self.poll = get_original("select", "poll")()
        self.exchanges = {}
        self.someone = threading.Event()
        threading.Thread(target=self._run, name="client-watch", daemon=True).start()

    def add(self, client, exchange):
        """Watch a caller's socket until `remove`. Returns the key for it."""
        key = client.fileno()
        self.exchanges[key] = exchange
        self.poll.register(key, LEFT)
        self.someone.set()
        return key

    def remove(self, key):
        """The exchange is over."""
        if self.exchanges.pop(key, None) is not None:
            self.poll.unregister(key)

    def stop_all(self):
        """The process ends: stop what is still under way."""
        for key in tuple(self.exchanges):
            self._end(key, self.exchanges[key].stop)

    def _run(self):
        pause = threading.Event()
        while True:
            self.someone.wait()
            pause.wait(INTERVAL)
            for key, _ in self.poll.poll(0):
                self._end(key, self.exchanges[key].cut)
            if not self.exchanges:
                self.someone.clear()

    def _end(self, key, end):
        self.remove(key)
        end()
