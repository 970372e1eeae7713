"""/metrics as Prometheus reads it: exact counts of known traffic, summed over two workers, and who may read them."""
import contextlib
import os
import signal
import threading

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.canary import MARK
from tests.fake_openai import chunked, head
from tests.fake_openai.answers import CHAT_USAGE
from tests.locks import locked
from tests.server import error_of, eventually, sign_up
from tests.subscriber import EventSource, WebSocket
from tests.wire import Wire

SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
TOKEN = f"prometheus-{MARK}"


@pytest.fixture(scope="module")
def server(start, backend, new_database, redis_address):
    """A server with two workers."""
    server = start(DB_ADDRESS=new_database(backend), REDIS_ADDRESS=redis_address, WEB_CONCURRENCY="2")
    eventually(lambda: server.output().count("Booting worker") == 2)
    return server


@pytest.fixture(scope="module")
def eve(server):
    """Somebody who calls, and whose signing up is counted already."""
    eve = sign_up(server, "Eve")
    eventually(lambda: numbers(server).get(("requests_total", "user", "POST", "200")) == 1)
    return eve


def numbers(server):
    """The samples that anybody on this machine may read: {(name, label's values …): number}."""
    answer = requests.get(f"{server.url}/metrics", timeout=5)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(sample.name.removeprefix("proxy_gpt_"), *sample.labels.values()): sample.value for family in families for sample in family.samples}


def more(server, before, *names):
    """What was counted since, under these names, of others than the probes."""
    now = numbers(server)
    return {key: value - before.get(key, 0) for key, value in now.items() if key[0] in names and "health" not in key and value != before.get(key, 0)}


@contextlib.contextmanager
def only(server, worker):
    """Whoever connects during the block comes to this worker: the other one stands still."""
    others = [pid for pid in server.workers() if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
                os.kill(pid, signal.SIGCONT)


def call(eve, path="/v1/models", method="GET", token=None, **sent):
    """The status of a call over a connection of its own."""
    headers = {"Authorization": f"Bearer {token or eve.token}"}
    return requests.request(method, eve.server.url + path, headers=headers, timeout=10, **sent).status_code


def test_counts_are_exact_whichever_worker_counted_and_whichever_is_asked(server, eve, upstream):
    one, other = server.workers()
    before = numbers(server)
    with only(server, one):
        assert [call(eve) for _ in range(3)] == [200] * 3
        chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
        assert [call(eve, "/v1/chat/completions", "POST", json=chat) for _ in range(2)] == [200] * 2
        assert call(eve, token="wrong") == 401
        eventually(lambda: sum(more(server, before, "requests_total").values()) == 6)  # a request is counted when its answer is out
    with only(server, other):
        assert [call(eve), call(eve, "/nothing"), call(eve, "/v1/whatever", "BREW")] == [200, 404, 404]
        assert [call(eve, path) for path in ("/usage", "/docs", "/openapi.json")] == [200] * 3
        eventually(lambda: more(server, before, "requests_total") == {
            ("requests_total", "v1", "GET", "200"): 4, ("requests_total", "v1", "POST", "200"): 2, ("requests_total", "v1", "GET", "401"): 1,
            ("requests_total", "other", "GET", "404"): 1, ("requests_total", "v1", "other", "404"): 1,
            ("requests_total", "usage", "GET", "200"): 1, ("requests_total", "docs", "GET", "200"): 2,
        })  # fmt: skip
        assert more(server, before, "outcomes_total") == {
            ("outcomes_total", "v1", "complete"): 7, ("outcomes_total", "v1", "refused"): 1, ("outcomes_total", "other", "refused"): 1,
            ("outcomes_total", "usage", "complete"): 1, ("outcomes_total", "docs", "complete"): 2,
        }  # fmt: skip
        tokens = {"input": "prompt_tokens", "output": "completion_tokens"}
        assert more(server, before, "tokens_total") == {
            **{("tokens_total", kind, "gpt-4o-mini"): 2 * CHAT_USAGE[name] for kind, name in tokens.items()},
            ("tokens_total", "cached", "gpt-4o-mini"): 2 * 16, ("tokens_total", "reasoning", "gpt-4o-mini"): 2 * 8,
        }  # fmt: skip
        for name, count in (("request_seconds", 8), ("first_byte_seconds", 7)):
            counted = more(server, before, f"{name}_bucket", f"{name}_count", f"{name}_sum")
            assert counted[f"{name}_count", "v1"] == counted[f"{name}_bucket", "v1", "+Inf"] == count
            assert 0 < counted[f"{name}_sum", "v1"] < 5


def test_what_is_open_is_seen_from_the_other_worker_and_ends_with_its_process(server, eve, upstream):
    one, other = server.workers()
    chat = eve.ask("/chat/create").json()["id"]
    upstream.script(SSE + chunked(b"data: 1\n\n"), threading.Event())
    eventually(lambda: numbers(server)["open", "call"] == 0)  # else the one that is stopped may go on telling of an earlier call
    with only(server, one):
        listeners = [EventSource(eve, chat), WebSocket(eve, chat)]
        stream = requests.get(f"{server.url}/v1/stream", headers=eve.headers, stream=True, timeout=10)
        assert next(stream.iter_content(None)) == b"data: 1\n\n"
        eventually(lambda: numbers(server)["open", "call"] == 1)
    with only(server, other):
        now = numbers(server)
        assert {kind: now["open", kind] for kind in ("call", "prompt", "sse", "websocket")} == {"call": 1, "prompt": 0, "sse": 1, "websocket": 1}
        assert (now["workers",], now["database_up",], now["redis_up",], now["events_in_memory",]) == (2, 1, 1, 0)
        before = {key: value for key, value in now.items() if key[0] == "requests_total" and "health" not in key}
        os.kill(one, signal.SIGKILL)
        eventually(lambda: server.output().count("Booting worker") == 3)
    eventually(lambda: numbers(server)["workers",] == 2)
    now = numbers(server)
    assert [now["open", kind] for kind in ("call", "sse", "websocket")] == [0, 0, 0]
    assert {key: value for key, value in now.items() if key in before} == before
    for listener in listeners:
        assert listener.closed.wait(5)


def test_they_are_for_this_machine_alone_and_not_for_who_was_passed_on(server):
    for header in ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: nonsense", "Forwarded: for=127.0.0.1", "X-Real-IP: ::1", "Via: 1.1 front"):
        name, _, value = header.partition(": ")
        answer = requests.get(f"{server.url}/metrics", headers={name: value}, timeout=5)
        assert "METRICS_TOKEN" in error_of(answer, 403)["message"]
        assert server.event(answer)["kind"] == "probe"


def test_a_front_that_hides_itself_does_not_open_them(server):
    with Wire(server) as wire:
        wire.send(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")  # as nginx does without further words
        assert wire.error()[0] == 403
    assert "Host" in error_of(requests.get(f"{server.url}/metrics", headers={"Host": "proxy.example"}, timeout=5), 403)["message"]


def test_with_a_token_they_are_for_whoever_has_it_and_for_nobody_else(start):
    server = start(METRICS_TOKEN=TOKEN)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xfc"}, {"Authorization": f"Basic {TOKEN}"}):
        error_of(requests.get(f"{server.url}/metrics", headers=headers, timeout=5), 401)
    good = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "203.0.113.9", "Accept": "application/openmetrics-text"}
    answer = requests.get(f"{server.url}/metrics", headers=good, timeout=5)
    assert answer.status_code == 200 and answer.text.endswith("# EOF\n") and "redis_up" not in answer.text


def test_what_the_database_does_not_have_yet_is_told(server, eve, upstream):
    with locked(server.database):
        call(eve)
        waiting = eventually(lambda: [now for now in [numbers(server)] if now["events_waiting_seconds",] > 0.5])[0]
        assert waiting["events_journal_bytes",] > 100
    eventually(lambda: (now := numbers(server))["events_journal_bytes",] == now["events_waiting_seconds",] == 0, within=10)
