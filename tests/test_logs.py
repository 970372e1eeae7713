"""LOG_FORMAT: one line a request, with the id that the client got, and nothing in it that anybody could play tricks with."""
import json
import os
import re
import subprocess

import pytest
import requests

from tests.fake_openai import whole
from tests.fake_openai.answers import CHAT_USAGE
from tests.server import Server, eventually
from tests.wire import Wire, bearer

COUNT = 2800  # lines: more than the pipe holds and the process keeps
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@pytest.fixture(scope="module", params=["text", "json"])
def server(request, start):
    """A server with each format."""
    server = start(LOG_FORMAT=request.param)
    server.parse = {"text": parse_text, "json": parse_json}[request.param]
    return server


@pytest.fixture(scope="module")
def eve(server):
    """Somebody who calls."""
    return server.person("Eve")


def parse_json(line):
    """The values of a line, when it is a request's."""
    values = json.loads(line)
    return values if "id" in values else None


def parse_text(line):
    """The same of a line of text."""
    found = re.match(r"(\d{4}-\S+Z) (\w+) (id=.*)", line)
    if not found:
        return None
    pairs = {name: json.loads(value) if value.startswith('"') else value for name, value in PAIR.findall(found[3])}
    return {"time": found[1], "kind": found[2], **{name: float(value) if re.fullmatch(r"[\d.]+", value) and name != "ip" else value for name, value in pairs.items()}}


def line_of(server, answer):
    """The one line about a request, once it is there."""
    wanted = answer if isinstance(answer, str) else answer.headers["x-proxy-request-id"]
    found = eventually(lambda: [values for values in map(server.parse, whole_lines(server)) if values and values["id"] == wanted])
    assert len(found) == 1
    return found[0]


def whole_lines(server):
    """What it has written so far, without a line that is still being written."""
    return server.output().rpartition("\n")[0].split("\n")


def test_a_request_is_one_line_that_says_what_its_event_says(server, eve, upstream):
    answer = eve.post("/v1/chat/completions?user=hidden", json=CHAT)
    line, event = line_of(server, answer), server.event(answer)
    assert line["time"] == event["timestamp"] and (line["kind"], line["user"], line["ip"]) == ("request", eve.id, "127.0.0.1")
    assert (line["method"], line["path"], line["status"], line["outcome"]) == ("POST", "/v1/chat/completions", 200, "complete")
    assert (line["tokens_in"], line["tokens_out"]) == (CHAT_USAGE["prompt_tokens"], CHAT_USAGE["completion_tokens"])
    assert (line["bytes_out"], line["model"]) == (event["bytes_out"], event["model"])
    assert abs(line["ms"] - event["duration"] * 1000) < 0.06


def test_refused_requests_and_what_is_not_http_have_their_line_and_good_probes_have_none(server, eve):
    refused = requests.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer wrong"}, timeout=5)
    assert (line_of(server, refused)["status"], line_of(server, refused)["outcome"]) == (401, "refused")
    with Wire(server) as wire:
        wire.send(b"nonsense\r\n\r\n")
        status, headers = wire.head()
    assert line_of(server, dict(headers)["x-proxy-request-id"])["status"] == status == 400
    probe = requests.get(f"{server.url}/healthz", timeout=5)
    line_of(server, eve.get("/user/session"))
    assert probe.ok and probe.headers["x-proxy-request-id"] not in server.output()


def test_what_a_caller_chooses_cannot_make_a_line_of_its_own_or_a_long_one(server, eve, upstream):
    before = len(whole_lines(server))
    path = "/v1/x%0A2026-01-01T00:00:00.000000Z%20request%20id=forged%1B[2J%22%20status=200%C3%BC" + "%0A" * 2000
    upstream.script(whole(b'{"model": "m\\u000a \x1b[2J"}'))
    upstream.script(whole(b'{"model": "a b=c"}'))
    with Wire(server) as wire:
        status, headers = wire.ask("GET", path, bearer(eve))
        wire.body(headers)
    line = line_of(server, dict(headers)["x-proxy-request-id"])
    answer = eve.get("/v1/models")
    model = line_of(server, answer)
    new = whole_lines(server)[before:]
    assert len(new) == 2 and max(map(len, new)) < 4096 and all(text.isprintable() and text.isascii() for text in new)
    assert line["status"] == status == 400 and line["path"].startswith("/v1/x\n2026-01-01T00:00:00.000000Z request id=forged\x1b[2J\" status=200ü\n")
    assert model.get("model", "") == server.event(answer)["model"]


def test_in_json_every_line_is_json_gunicorns_and_warnings_too(start):
    server = start(LOG_FORMAT="json", API_KEY="")
    server.person("Eve")
    server.stop()
    lines = [json.loads(line) for line in whole_lines(server)]
    assert {"INFO", "WARNING"} & {line["level"] for line in lines} == set()
    told = {line["message"]: line for line in lines if line["kind"] == "log"}
    assert [line["level"] for text, line in told.items() if "API_KEY" in text] == ["warning"]
    assert any(text.startswith("Booting worker") for text in told) and any(text.startswith("Shutting down") for text in told)
    assert [line["path"] for line in lines if "id" in line][-1] == "/user/signup"


def test_none_means_no_line_of_a_request(start):
    server = start(LOG_FORMAT="none")
    server.person("Eve")
    with Wire(server) as wire:
        wire.send(b"nonsense\r\n\r\n")
    eventually(lambda: "status 400" in server.output())  # a warning, which comes later
    assert "/user/signup" not in server.output()


@pytest.fixture
def unread(tmp_path, upstream):
    """A server whose stdout and stderr are a pipe that is read when the test wants it."""
    reading, writing = os.pipe()
    server = Server(tmp_path, API_URL=upstream.url)
    server.log = os.fdopen(reading, "rb", buffering=0)
    server.process = subprocess.Popen(server.command, cwd=tmp_path, env=server.environment, stdout=writing, stderr=writing)
    os.close(writing)
    eventually(server.answers, within=15)
    yield server
    server.end()


def test_who_does_not_read_the_output_stops_no_request_and_is_told_how_many_lines_are_missing(unread):
    eve = unread.person("Eve")  # of strangers not every request has a line
    with Wire(unread) as wire:
        for number in range(COUNT):
            status, headers = wire.ask("GET", "/user/session", bearer(eve))
            assert wire.body(headers)[1] and status == 200, number
            if number == COUNT // 2:
                with Wire(unread) as other:
                    other.send(b"nonsense\r\n\r\n")  # which is worth a warning on stderr, too
                    assert other.head()[0] == 400
    seen, missing = b"", []
    while sum(map(int, missing)) + seen.count(b'path="/user/session"') < COUNT:
        seen += unread.log.read(1 << 16)  # which waits for ever where a line is not accounted for
        missing = re.findall(rb"(\d+) lines are left out here", seen)
    assert missing
    unread.process.terminate()
    assert unread.process.wait(15) == 0
