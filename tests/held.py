"""What a server's worker holds: descriptors, threads, and greenlets, which only the worker itself can count."""
import os
import signal
from pathlib import Path

from tests.server import BIN, eventually

ASK = signal.SIGRTMIN
FILE = "greenlets"  # in the server's folder; see counted_conf.py
COMMAND = (BIN / "proxy-gpt", "--config", "python:tests.counted_conf")
PYTHONPATH = str(Path(__file__).parent.parent)


def held(server):
    """(descriptors, threads, greenlets) of the worker of a server that was started with COMMAND and PYTHONPATH."""
    worker = server.workers()[0]
    written = server.folder / FILE
    written.unlink(missing_ok=True)
    os.kill(worker, ASK)
    eventually(written.exists)
    return len(os.listdir(f"/proc/{worker}/fd")), len(os.listdir(f"/proc/{worker}/task")), int(written.read_text())
