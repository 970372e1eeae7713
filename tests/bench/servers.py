"""The processes under measurement, and what they have used of the machine."""
import os
import subprocess
import sys
from pathlib import Path

import requests

from tests.server import BIN, Server, eventually, free_port

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def family(pid):
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_seconds(pid):
    """The CPU time that a process and all below it have used."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Proxy(Server):
    """`proxy-gpt` in a folder of its own, with somebody signed up."""

    name = "proxy"

    def start(self):
        """Start it and sign somebody up."""
        super().start()
        self.token = self.person("bench").token
        return self

    def cpu(self):
        """CPU seconds used so far."""
        return cpu_seconds(self.process.pid)

    def memory(self):
        """Bytes of memory in use by all of its processes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def missing(self, asked):
        """How many of `asked` requests have no event, once the last is shipped."""
        def count():
            return self.rows("SELECT COUNT(*) AS n FROM events WHERE endpoint = '/v1/chat/completions'")[0]["n"]

        try:
            eventually(lambda: count() >= asked, within=10)
        except AssertionError:
            pass
        return max(0, asked - count())


class Naive(Proxy):
    """The reference, under the same gunicorn settings."""

    name = "naive"
    token = "none"

    def __init__(self, folder, **settings):
        super().__init__(folder, **settings)
        self.command = [
            str(BIN / "gunicorn"), "-k", "gevent", "-w", settings.get("WEB_CONCURRENCY", "1"), "-b", f"127.0.0.1:{self.port}",
            "--worker-connections", "10000", "--keep-alive", "5", "--no-control-socket", "--pythonpath", str(ROOT),
            "tests.bench.naive:app",
        ]  # fmt: skip

    def start(self):
        """Start it."""
        return Server.start(self)

    def answers(self):
        """Whether it answers."""
        try:
            return requests.get(self.url, timeout=5).status_code == 404
        except requests.ConnectionError:
            return False


class Upstream:
    """The upstream in a process of its own."""

    def __init__(self, chunks=100, interval=0.05):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        arguments = ["--port", str(self.port), "--chunks", str(chunks), "--interval", str(interval)]
        self.process = subprocess.Popen([sys.executable, "-m", "tests.bench.upstream", *arguments], cwd=ROOT)
        eventually(self._answers, within=10)

    def _answers(self):
        try:
            return self.stats()
        except requests.ConnectionError:
            return None

    def stats(self):
        """How many requests, streams and chunks it was asked for."""
        return requests.get(f"{self.url}/stats", timeout=5).json()

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait(10)
