"""Somebody else who asks /healthz every 10 ms, in a process of its own, and remembers the longest wait: `python -m tests.probe PORT`."""
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parent.parent
EVERY = 0.01  # seconds


class Probe:
    """Asks a server for as long as the block lasts. `longest` is then the longest wait in seconds."""

    def __init__(self, server):
        self.command = [sys.executable, "-m", "tests.probe", str(server.port)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"answered\n"
        return self

    def __exit__(self, *_):
        self.longest = float(self.process.communicate(timeout=60)[0])


def main(port):
    """Ask until standard input ends, then print the longest wait."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    connection = HTTPConnection("127.0.0.1", port, timeout=50)
    longest = _wait(connection)
    print("answered", flush=True)
    longest = 0
    while not over.wait(EVERY):
        longest = max(longest, _wait(connection))
    print(longest)


def _wait(connection):
    begin = time.monotonic()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status":"ok"}\n'
    return time.monotonic() - begin


if __name__ == "__main__":
    main(int(sys.argv[1]))
