"""Load for one of the servers, and what it costs that server."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.bench.servers import ROOT

LUA = Path(__file__).with_name("chat.lua")
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Why is the sky blue? " * 10}]})
PATH = "/v1/chat/completions"


def need_tools():
    """Say in a sentence what is missing."""
    if shutil.which("wrk") is None:
        sys.exit("The benchmarks need wrk on the PATH (Debian: apt install wrk).")


def wrk(server, connections, seconds, body=BODY, path=PATH, content_type="application/json"):
    """Plain requests for so many seconds. Returns cpu_ms (per request), rps, p50 and requests."""
    environment = {**os.environ, "BENCH_BODY": body, "BENCH_TOKEN": server.token, "BENCH_TYPE": content_type}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LUA), server.url + path]
    before = server.cpu()
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=seconds + 15).stdout
    time.sleep(0.5)  # what the requests still cost in the background is theirs too
    result = json.loads(output.rpartition("JSON ")[2])
    if result["errors"]:
        raise SystemExit(f"{server.name}: {result['errors']} of {result['requests']} requests failed:\n{output}")
    cpu = (server.cpu() - before) * 1000 / result["requests"]
    return {**result, "cpu_ms": cpu, "rps": result["requests"] / result["seconds"]}


def streams(server, count, chunks, deadline=15):
    """Many streams at once. Returns complete, lost, gap_p99, cpu_ms (per 1,000 chunks) and memory at its highest."""
    command = [sys.executable, "-m", "tests.bench.streams", server.url + PATH, "--token", server.token,
               "-c", str(count), "--chunks", str(chunks), "--deadline", str(deadline)]  # fmt: skip
    before, peak = server.cpu(), Peak(server)
    with peak:
        output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=deadline + 60).stdout
    result = json.loads(output)
    return {**result, "cpu_ms": (server.cpu() - before) * 1e6 / max(1, result["chunks"]), "memory": peak.bytes}


class Peak:
    """The highest memory of a server during a `with` block."""

    def __init__(self, server):
        self.server, self.bytes = server, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _watch(self):
        while not self.over.wait(0.1):
            self.bytes = max(self.bytes, self.server.memory())


def side_by_side(servers, rounds, measure):
    """Measure each server in turn, so many times over. Returns {name: {figure: median}}, {name: requests in all}."""
    results = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            results[server.name].append(measure(server))
    medians = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items()}
    return medians
