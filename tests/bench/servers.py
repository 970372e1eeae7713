"""The processes under measurement, and what they have used of the machine."""
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import requests

from proxy_gpt.rules.limits import NAMES
from tests.server import BIN, Server, eventually, free_port

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PATH = "/v1/chat/completions"


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


class Upstream:
    """The upstream in a process of its own."""

    def __init__(self, chunks, interval):
        self.chunks = chunks
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        arguments = ["--port", str(port), "--chunks", str(chunks), "--interval", str(interval)]
        self.process = subprocess.Popen([sys.executable, "-m", "tests.bench.upstream", *arguments], cwd=ROOT)
        eventually(self.asked, within=10)

    def asked(self):
        """Of how many requests it knows, streams included; None before it answers."""
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/stats", timeout=5).json()

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait(10)


class Proxy(Server):
    """`proxy-gpt` with an upstream of its own, and somebody signed up."""

    name = "proxy"

    def __init__(self, folder, chunks=50, interval=0.02, **settings):
        self.upstream = Upstream(chunks, interval)
        super().__init__(folder, API_KEY="sk-bench", API_URL=self.upstream.url, **settings)

    def begin(self):
        """Start it."""
        return super().start()

    def start(self):
        """Start it and sign somebody up."""
        self.begin()
        self.somebody = self.person("bench")
        self.token = self.somebody.token
        return self

    def stop(self):
        """End it and its upstream."""
        if self.process:
            super().stop()
        self.upstream.stop()

    def cpu(self):
        """CPU seconds used so far."""
        return cpu_seconds(self.process.pid)

    def memory(self):
        """Bytes of memory in use by its workers."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self.workers())

    def missing(self):
        """How many of the requests that reached the upstream have no event."""
        asked = sum(self.upstream.asked().values())
        with contextlib.suppress(AssertionError):
            eventually(lambda: self._logged() >= asked, within=10)
        return max(0, asked - self._logged())

    def _logged(self):
        query = "SELECT COUNT(*) AS n FROM events WHERE endpoint IN (?, '/chat/prompt') AND user_id IS NOT NULL AND request <> ''"
        return self.rows(query, PATH)[0]["n"]


class Limited(Proxy):
    """The same for somebody with limits that are never reached, of each kind."""

    name = "limited"

    def start(self):
        """Start it, sign somebody up, and set the limits."""
        super().start()
        limits = [word for name in NAMES for word in (f"--{name.replace('_', '-')}", "1000000000")]
        subprocess.run([BIN / "proxy-admin", "--database", self.database, "limit", "user", "bench", *limits], check=True, capture_output=True)
        return self


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
        return self.begin()

    def answers(self):
        """Whether it answers."""
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(self.url, timeout=5).status_code == 404

    def missing(self):
        """It has no events."""
        return 0
