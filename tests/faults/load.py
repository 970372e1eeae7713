"""Callers who go on and on while something fails, and what they met."""
import itertools
import threading
import time

import requests


class Load:
    """So many threads that call `action(number)` again and again during a `with` block; numbers are never used twice.

    `answers` are (number, response or None when the connection broke, seconds), in the order in which they came.
    """

    def __init__(self, action, threads=4, numbers=None):
        self.action = action
        self.numbers = numbers or itertools.count()
        self.answers = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(40)

    def _run(self):
        while not self.over.is_set():
            number, begin = next(self.numbers), time.monotonic()
            try:
                answer = self.action(number)
            except requests.RequestException:
                answer = None
            self.answers.append((number, answer, time.monotonic() - begin))

    def statuses(self):
        """Which statuses came; None stands for a broken connection."""
        return {answer is not None and answer.status_code or None for _, answer, _ in self.answers}

    def longest(self):
        """The longest that anybody waited, in seconds."""
        return max(seconds for _, _, seconds in self.answers)
