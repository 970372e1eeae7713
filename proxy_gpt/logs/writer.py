"""Writes lines in a real thread: who reads them may be slow, or stuck, and the requests go on."""
import collections
import os
import threading
import time

from proxy_gpt import offload

MOST = 2000  # lines that wait; those that come then are left out, and counted
TOGETHER = 4096  # bytes written at once: a pipe takes so many without mixing them with those of other workers


class Writer:
    """The lines for one descriptor (1 or 2)."""

    def __init__(self, descriptor, tell):
        self.descriptor = descriptor
        self.tell = tell  # from a sentence to a line
        self.lines = collections.deque()
        self.left_out = 0
        self.work = threading.Event()
        self.idle = True
        threading.Thread(target=self._run, name=f"lines to {descriptor}", daemon=True).start()

    def put(self, line):
        """Write a line when told to `hurry`. Any thread may say one, but none other than gevent's may wake its loop."""
        if len(self.lines) >= MOST:
            self.left_out += 1
            return
        self.lines.append(line)

    def hurry(self):
        """Write what is there."""
        if self.lines:
            self.work.set()

    def close(self, wait=1):
        """Write what is left, for so many seconds at the most."""
        self.hurry()
        deadline = time.monotonic() + wait
        pause = threading.Event()
        while (self.lines or not self.idle) and time.monotonic() < deadline:
            pause.wait(0.01)

    def _run(self):
        while True:
            self.work.wait()
            self.work.clear()
            self.idle = False
            offload.run(self._write_all)
            self.idle = True

    def _write_all(self):
        while self.lines:
            self._write(self._some())
        if self.left_out:
            count, self.left_out = self.left_out, 0
            self._write(self.tell(f"{count} lines are left out here: they were not taken in time.").encode())

    def _some(self):
        """The next whole lines, as many as may be written at once, or a longer one."""
        data = self.lines.popleft().encode("utf-8", "backslashreplace")
        while self.lines and len(data) + len(self.lines[0]) <= TOGETHER:  # nearly all of it is ASCII
            data += self.lines.popleft().encode("utf-8", "backslashreplace")
        return data

    def _write(self, data):
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:  # nobody reads any more, or the disk is full: the events have it all
            self.left_out += data.count(b"\n")
