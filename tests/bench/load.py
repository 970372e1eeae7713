"""Load for one server, and what it costs that server."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.bench.servers import PATH, ROOT

LUA = Path(__file__).with_name("chat.lua")
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Why is the sky blue? " * 10}]})


def check_tools():
    """End with a sentence when a tool is missing."""
    if shutil.which("wrk") is None:
        sys.exit("The benchmarks need wrk on the PATH (Debian: apt install wrk).")
    try:
        import uvloop  # noqa: F401
    except ImportError:
        sys.exit("The benchmarks need uvloop: pip install -e '.[test,bench]'.")


def requests(server, connections, seconds, body=BODY, path=PATH, content_type="application/json"):
    """Plain requests for so many seconds. Returns cpu (milliseconds a request), rate, p50 (milliseconds) and count."""
    environment = {**os.environ, "BENCH_BODY": body, "BENCH_TOKEN": server.token, "BENCH_TYPE": content_type}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LUA), server.url + path]
    before = server.cpu()
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=seconds + 15)
    time.sleep(0.5)  # what they still cost in the background is theirs too
    result = json.loads(run.stdout.rpartition("JSON ")[2])
    if result["errors"]:
        sys.exit(f"{server.name}: {result['errors']} of {result['requests']} requests failed.")
    cpu = (server.cpu() - before) * 1000 / result["requests"]
    return {"cpu": cpu, "rate": result["requests"] / result["seconds"], "p50": result["p50"], "count": result["requests"]}


def streams(server, count, deadline=15):
    """Many streams at once. Returns cpu (milliseconds for 1,000 chunks), gap (p99, milliseconds) and memory (peak, MB)."""
    command = [sys.executable, "-m", "tests.bench.streams", server.url + PATH, "--token", server.token,
               "-c", str(count), "--chunks", str(server.upstream.chunks), "--deadline", str(deadline)]  # fmt: skip
    before = server.cpu()
    with Peak(server) as peak:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=deadline + 60)
    time.sleep(0.5)
    result = json.loads(run.stdout)
    if result["complete"] < count or result["lost"]:
        sys.exit(f"{server.name}: {result['complete']} of {count} streams complete, {result['lost']} chunks lost.")
    return {"cpu": (server.cpu() - before) * 1e6 / result["chunks"], "gap": result["gap_p99"] * 1000, "memory": peak.bytes / 1e6}


class Peak:
    """The highest memory of a server during a `with` block."""

    def __init__(self, server):
        self.server, self.bytes = server, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _watch(self):
        while not self.over.wait(0.1):
            self.bytes = max(self.bytes, self.server.memory())


def side_by_side(servers, rounds, measure):
    """Measure each server in its turn, so many times over. Returns for each the medians of its figures."""
    runs = {server: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            runs[server].append(measure(server))
    return [{key: statistics.median(run[key] for run in runs[server]) for key in runs[server][0]} for server in servers]
