"""Long bodies of our own endpoints: they are parsed beside the other requests, and what the event keeps of them costs little."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from proxy_gpt import events
from tests.held import PYTHONPATH
from tests.server import BIN, error_of, eventually

STUCK = (BIN / "proxy-gpt", "--config", "python:tests.stuck_parser_conf")
FORM, JSON, MULTIPART = "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=b"
PART = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
LONG = {
    "a form of escapes": (FORM, "first_name=Eve&other=" + "%41" * 333_000),
    "many small values": (JSON, '{"first_name": "Eve", "other": [' + "1," * 300_000 + "1]}"),
    "many names": (JSON, '{"first_name": "Eve"' + "".join(f', "n{number}": 1' for number in range(50_000)) + "}"),
    "many deep lists": (JSON, '{"first_name": "Eve", "other": [' + "[[[[[]]]]]," * 80_000 + "1]}"),
    "many parts": (MULTIPART, PART.format("first_name", "Eve") + "".join(PART.format(f"n{number}", "") for number in range(990)) + "--b--\r\n"),
    "a long part": (MULTIPART, PART.format("first_name", "Eve") + PART.format("other", "\r\n-" * 300_000) + "--b--\r\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(start):
    """A server whose parser of long bodies is stuck until it is told to go on."""
    return start(command=STUCK, PYTHONPATH=PYTHONPATH)


@pytest.fixture(scope="module")
def eve(server):
    """Somebody there."""
    return server.person("Eve")


@pytest.mark.parametrize("case", LONG)
def test_while_a_long_body_is_parsed_others_are_answered(server, eve, case):
    content_type, body = LONG[case]
    stuck, go = server.folder / "stuck", server.folder / "go"
    stuck.unlink(missing_ok=True)
    go.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(eve.post, "/user/update", data=body, headers={"Content-Type": content_type})
        try:
            eventually(stuck.exists, within=30)
            assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200 and not update.done()
        finally:
            go.touch()
        answer = update.result()
    assert answer.json()["user"]["first_name"] == "Eve"
    kept = server.event(answer)["request"]
    assert kept.startswith('{"first_name": "Eve", ') and len(kept) <= 16384


@pytest.mark.parametrize(("content_type", "body"), [
    (JSON, '{"first_name": "secret' + "x" * 100_000), (FORM, "first_name=secret%ff" + "x" * 100_000),
    (FORM, "first_name=secret&" * 10_000), (MULTIPART, PART.format("first_name", "secret" * 10_000)),
])  # fmt: skip
def test_a_long_body_that_is_wrong_is_refused_without_a_traceback(server, eve, content_type, body):
    (server.folder / "go").touch()
    assert error_of(eve.post("/user/update", data=body, headers={"Content-Type": content_type}), 400)
    assert "Traceback" not in server.output() and "secret" not in server.output()


def test_what_is_behind_the_room_in_the_event_is_not_looked_at():
    def pairs():
        yield "first", [["x" * 50] * 1000] * 1000
        yield "token", {"deep": "secret"}
        raise AssertionError("It was looked at.")

    assert events.shown(pairs(), 100) == json.dumps({"first": [["x" * 50] * 3]})[:100]


def test_what_is_shown_is_json_without_secrets_cut_where_the_room_ends():
    values = {"a": [1, 2.5, None, True, 'ü\n"'], "Password": {"x": 1}, "b": {"token": "s", "c": [], " TOKEN ": 1}}
    values |= {"n" * 50: "y" * 300, "d": [[[]], {"q": {}}]}
    whole = json.dumps({**values, "Password": "[hidden]", "b": {"token": "[hidden]", "c": [], " TOKEN ": "[hidden]"}})
    assert all(events.shown(values.items(), room) == whole[:room] for room in range(1, len(whole) + 10))
