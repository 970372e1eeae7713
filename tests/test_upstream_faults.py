"""However the upstream fails, it has its status, its outcome and its time, and leaves nothing behind in the process."""
import itertools
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.fake_openai import HANG_UP, RESET, FakeOpenAI, chunked, head, whole
from tests.held import COMMAND, PYTHONPATH, held
from tests.server import error_of, eventually

BEGUN = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked") + chunked(
    b'data: {"choices": [{"delta": {"content": "Well"}}]}\n\n'
)
NEVER = threading.Event()
SLACK = 5, 12, 5  # descriptors, threads and greenlets that come and go by themselves; gevent has up to ten threads for looking up names
LONGEST = 8  # seconds; the server's own limits are 1 and 2
UNREACHABLE = (502, 502, "upstream_error")
FAULTS = {  # what the upstream does, the statuses of /v1/* and of a prompt, and the outcome of both
    "refuses the connection": (None, *UNREACHABLE),
    "hangs up": ([HANG_UP], *UNREACHABLE),
    "resets": ([RESET], *UNREACHABLE),
    "answers garbage": ([b"\x16\x03\x01\x02\0\x01 nonsense\r\n\r\n"], *UNREACHABLE),
    "answers garbage in its first line": ([b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"], *UNREACHABLE),
    "answers garbage in its body": ([BEGUN, 0.5, b"zz\r\n"], 200, 502, "upstream_truncated"),
    "hangs before the headers": ([NEVER], 504, 504, "timeout"),
    "trickles its headers": ([b"HTTP/1.1 200 OK\r\nX: ", *[b"x", 0.2] * 40], 504, 504, "timeout"),
    "hangs in mid-stream": ([BEGUN, NEVER], 200, 504, "timeout"),
    "trickles in mid-stream": ([BEGUN, *[chunked(b":\n\n"), 0.2] * 40], 200, 504, "timeout"),
    "breaks off in mid-stream": ([BEGUN, RESET], 200, 502, "upstream_truncated"),
    "ends in mid-stream": ([BEGUN, HANG_UP], 200, 502, "upstream_truncated"),
}  # fmt: skip


@pytest.fixture(scope="module")
def own_upstream():
    """An upstream that nobody else asks."""
    server = FakeOpenAI()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def eve(start, own_upstream, new_database):
    """Somebody on a server that waits a second for a word and two for an answer, and can be asked what it holds."""
    settings = {"UPSTREAM_TIMEOUT": "1", "ANSWER_TIMEOUT": "2", "PYTHONPATH": PYTHONPATH}
    server = start(command=COMMAND, API_URL=own_upstream.url, DB_ADDRESS=new_database("sqlite"), **settings)
    eve = server.person("Eve")
    eve.chat = eve.ask("/chat/create").json()["id"]
    return eve


@pytest.mark.parametrize("times", [30, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize("fault", FAULTS)
def test_when_the_upstream(eve, own_upstream, fault, times):
    steps, status, prompt_status, outcome = FAULTS[fault]
    ask_many(eve, own_upstream, [whole(b"{}", "application/json", "404 Not Found", "Connection: close"), HANG_UP], times=30)
    before = held(eve.server)
    answers = ask_many(eve, own_upstream, steps, times)
    assert {(way, answer.status_code) for way, answer in answers} == {("v1", status), ("prompt", prompt_status), ("streamed", 200)}
    assert max(answer.elapsed.total_seconds() for _, answer in answers) < LONGEST
    for event in events_of(eve.server, answers):
        assert event["outcome"] == outcome and event["message"] and event["duration"] < LONGEST, event
    assert eventually(lambda: own_upstream.connections == 0)
    eventually(lambda: all(now - then <= slack for now, then, slack in zip(held(eve.server), before, SLACK)), within=10)
    assert {row["status"] for row in eve.server.rows("SELECT DISTINCT status FROM messages")} == {"failed"}


def ask_many(eve, upstream, steps, times):
    """Ask so often, in each way in turn; the upstream plays these steps each time, or is not there. Returns (way, answer)s."""
    ways = {
        "v1": ("/v1/chat/completions", {"model": "m", "messages": []}),
        "prompt": ("/chat/prompt", {"id": eve.chat, "prompt": "Well?"}),
        "streamed": ("/chat/prompt", {"id": eve.chat, "prompt": "Well?", "stream": True}),
    }  # fmt: skip
    upstream.forget()
    for _ in range(times if steps else 0):
        upstream.script(*steps)

    def ask(way):
        path, fields = ways[way]
        return way, requests.post(eve.server.url + path, json=fields, headers={**eve.headers, "Connection": "close"}, timeout=30)

    with refusing(upstream, steps is None), ThreadPoolExecutor(min(times, 90)) as pool:
        answers = list(pool.map(ask, itertools.islice(itertools.cycle(ways), times)))
        events_of(eve.server, answers)
    return answers


def events_of(server, answers):
    """The event rows of these answers, once all are there and whole."""
    ids = [answer.headers["x-proxy-request-id"] for _, answer in answers]
    marks = ",".join("?" * len(ids))
    return eventually(lambda: rows if len(rows := server.rows(f"SELECT * FROM events WHERE id IN ({marks})", *ids)) == len(ids) else None, 15)


class refusing:
    """While this lasts, the upstream is not there, if it is to refuse."""

    def __init__(self, upstream, refuses):
        self.upstream, self.refuses = upstream, refuses

    def __enter__(self):
        if self.refuses:
            self.upstream.stop_listening()

    def __exit__(self, *_):
        if self.refuses:
            self.upstream.listen_again()



def test_an_upstream_that_takes_nothing_of_an_upload_is_given_up(start):
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the system accepts for it; it reads nothing
        server = start(API_URL="http://127.0.0.1:%d" % deaf.getsockname()[1], UPSTREAM_TIMEOUT="1")
        answer = server.person("Eve").post("/v1/files", data=iter([bytes(1 << 20)] * 20))
        assert error_of(answer, 504)["code"] == "upstream_timeout" and answer.elapsed.total_seconds() < LONGEST
        assert server.event(answer)["outcome"] == "timeout"
