"""What nobody may ask the upstream, and what people with a budget may: nothing whose cost is not known."""
import gzip
import itertools
import json
import threading
import zlib

import brotli
import pytest

from tests.fake_openai import HANG_UP, answers, chunked, head, whole
from tests.limited import ask, body, limit
from tests.server import error_of
from tests.wire import Wire, bearer

BILLION = 10**9
JSON = {"Content-Type": "application/json"}
SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
WORD = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n'
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(start):
    """A server on SQLite."""
    return start()


@pytest.fixture(scope="module")
def open_server(start):
    """One whose operator has opened what can be opened."""
    return start(ALLOW_CLIENT_SECRETS="true", ALLOW_UNMETERED="/v1/vector_stores, /v1/messages, /v1/new/*")


@pytest.fixture
def somebody(server):
    """Somebody new there."""
    return server.person(f"somebody {next(numbers)}")


@pytest.fixture
def frank(server, somebody):
    """Somebody with a budget of tokens."""
    limit(server, somebody, tokens_per_day=100_000)
    return somebody


def message(answer):
    """The sentence of a refusal by a limit."""
    return error_of(answer, 429)["message"]


MINTING = ["realtime/client_secrets", "realtime/sessions", "realtime/transcription_sessions", "realtime/translations/client_secrets",
           "realtime/calls", "live/sessions", "chatkit/sessions", "realtimeapi/sessions"]  # fmt: skip
ADMINISTRATION = [
    ("GET", "organization/users"), ("POST", "organization/admin_api_keys"), ("GET", "organization"), ("GET", "organization/costs?start_time=1"),
    ("POST", "projects/p/api_keys"), ("DELETE", "projects/p"), ("GET", "me"), ("GET", "organizations"), ("GET", "usage?date=2026-11-27"),
    ("GET", "dashboard/billing/subscription"), ("POST", "fine_tuning/checkpoints/ft:gpt-4o:acme::x:ckpt-step-9/permissions"),
    ("DELETE", "fine_tuning/checkpoints/c/permissions/p"),
]  # fmt: skip


@pytest.mark.parametrize("path", [
    *MINTING, "realtime/client_secrets/", "realtime/client%5Fsecrets", "realtime//client_secrets", "realtime/client_secrets;x=1", "Realtime/Client_Secrets",
])  # fmt: skip
def test_nobody_gets_a_key_that_works_without_the_proxy(server, somebody, upstream, path):
    with Wire(server) as wire:
        for method in ("POST", "GET"):
            wire.send(f"{method} /v1/{path} HTTP/1.1\r\nHost: x\r\n{bearer(somebody)}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            status, error = wire.error()
            assert (status, error["code"]) == (403, "operation_not_allowed") and "ALLOW_CLIENT_SECRETS" in error["message"]
    assert upstream.questions == []


@pytest.mark.parametrize("path", MINTING)
def test_the_operator_can_open_those(open_server, upstream, path):
    upstream.script(whole(b"{}"))
    assert open_server.person(f"somebody {next(numbers)}").post(f"/v1/{path}", data=b"{}", headers=JSON).status_code == 200


@pytest.mark.parametrize(("method", "path"), [
    *ADMINISTRATION, ("GET", "Organization/users"), ("GET", "organi%7Aation/users"), ("GET", "organization;a/users"), ("GET", "/organization/users"),
    ("GET", "organization//users/"), ("GET", "projects/a/b/c"), ("GET", "organization/a%0Ab"),
])  # fmt: skip
def test_nobody_administers_the_account_of_the_shared_key(server, open_server, upstream, method, path):
    for each in (server, open_server):
        person = each.person(f"somebody {next(numbers)}")
        with Wire(each) as wire:
            wire.send(f"{method} /v1/{path} HTTP/1.1\r\nHost: x\r\n{bearer(person)}\r\n\r\n".encode())
            status, error = wire.error()
        assert status in (403, 400) and error["code"] in ("operation_not_allowed", "invalid_value")
    assert upstream.questions == []


@pytest.mark.parametrize("path", ["organizer", "projection", "mean", "usages", "models/me", "files/usage", "fine_tuning/checkpoints/c", "responses/organization"])
def test_what_only_sounds_like_it_passes(server, somebody, upstream, path):
    upstream.script(whole(b"{}"))
    assert somebody.get(f"/v1/{path}").status_code == 200


UNMETERED = [
    ("POST", "vector_stores"), ("POST", "vector_stores/v/files"), ("POST", "containers"), ("POST", "videos"), ("POST", "videos/edits"),
    ("POST", "videos/v/remix"), ("POST", "fine_tuning/jobs"), ("POST", "batches"), ("POST", "evals/e/runs"), ("POST", "threads/runs"),
    ("POST", "audio/speech"), ("POST", "images/variations"), ("POST", "messages"), ("POST", "some/future/path"), ("GET", "some/future/path"),
    ("PUT", "chat/completions"), ("PATCH", "responses"), ("POST", "engines/e/completions"), ("POST", "Chat/Completions"), ("POST", "chat%2Fcompletionz"),
    ("POST", "fine_tuning/jobs/j/resume"), ("PURGE", "files"), ("POST", "chat/completions/;x"), ("POST", "chat/completions/%20"),
    ("POST", "responses/a%2Fb/cancel"), ("POST", "conversations/c;d/items"),
]  # fmt: skip


@pytest.fixture(scope="module")
def people_with_budgets(server):
    """One for each kind of budget."""
    people = []
    for name in ("tokens_per_minute", "tokens_per_day", "money_per_month"):
        people.append(server.person(f"somebody with {name}"))
        limit(server, people[-1], **{name: 10**12})
    return people


@pytest.fixture(scope="module")
def dora(server):
    """Somebody who is limited in requests alone."""
    dora = server.person("Dora")
    limit(server, dora, requests_per_minute=1000)
    return dora


@pytest.mark.parametrize(("method", "path"), UNMETERED)
def test_an_operation_of_unknown_cost_is_closed_to_people_with_a_budget(dora, people_with_budgets, upstream, method, path):
    for person in people_with_budgets:
        answer = person.request(method, f"/v1/{path}", data=b"{}", headers=JSON)
        error = error_of(answer, 403)
        assert error["code"] == "operation_not_metered" and "ALLOW_UNMETERED" in error["message"] and answer.headers["x-should-retry"] == "false"
    assert upstream.questions == []
    upstream.script(whole(b"{}"))
    assert dora.request(method, f"/v1/{path}", data=b"{}", headers=JSON).status_code == 200


FREE = [
    ("GET", "models"), ("GET", "models/m"), ("DELETE", "models/m"), ("HEAD", "models"), ("POST", "files"), ("GET", "files/f/content"), ("DELETE", "files/f"),
    ("POST", "uploads"), ("POST", "uploads/u/parts"), ("POST", "uploads/u/complete"), ("POST", "moderations"), ("GET", "responses/r"),
    ("POST", "responses/r/cancel"), ("POST", "responses/input_tokens"), ("DELETE", "responses/r"), ("GET", "chat/completions"), ("POST", "chat/completions/c"),
    ("POST", "conversations"), ("POST", "conversations/c/items"), ("GET", "batches/b"), ("POST", "batches/b/cancel"), ("GET", "vector_stores"),
    ("GET", "fine_tuning/jobs/j/events"), ("POST", "fine_tuning/jobs/j/cancel"), ("GET", "videos/v/content"), ("GET", "models/"), ("OPTIONS", "models"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), FREE)
def test_what_costs_nothing_is_open_even_when_the_budget_is_used_up(server, somebody, upstream, method, path):
    limit(server, somebody, tokens_per_day=0, money_per_month=0)
    upstream.script(head("200 OK", "Content-Length: 0"))
    assert somebody.request(method, f"/v1/{path}").status_code == 200


METERED = ["chat/completions", "completions", "responses", "responses/compact", "embeddings", "audio/transcriptions", "audio/translations",
           "images/generations", "images/edits", "chat/completions/", "chat%2Fcompletions"]  # fmt: skip


@pytest.mark.parametrize("path", METERED)
@pytest.mark.parametrize("limits", [{"tokens_per_day": 92}, {"money_per_month": 43_200}])
def test_once_a_budget_is_used_up_nothing_passes_that_can_cost(server, somebody, upstream, path, limits):
    limit(server, somebody, tokens_per_day=100_000)
    server.event(ask(somebody, 100))  # uses 92 tokens, which cost 43,200 billionths
    limit(server, somebody, tokens_per_day=None)
    limit(server, somebody, **limits)
    somebody = logged_in_again(somebody)
    asked = len(upstream.questions)
    # Nothing in, and nothing out that would be asked for: of files, and of embeddings without text, that is all that could be reserved.
    for data in (b'{"model": "gpt-4o-mini", "max_tokens": 0}', b"", b'{"model": "text-embedding-3-small"}'):
        assert "may need" in message(somebody.post(f"/v1/{path}", data=data, headers=JSON))
    assert len(upstream.questions) == asked and somebody.get("/v1/models").status_code == 200


def logged_in_again(person):
    """With a new token, of which no worker remembers older limits."""
    person.token = person.ask("/user/login", username=person.name, password=person.password).json()["token"]
    person.headers["Authorization"] = f"Bearer {person.token}"
    return person


@pytest.mark.parametrize("path", ["/v1//chat/completions", "/v1/chat//completions", "/v1//models", "/v1/models//"])
def test_odd_paths_are_refused_to_people_with_a_budget(server, somebody, frank, upstream, path):
    with Wire(server) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{bearer(frank)}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        status, error = wire.error()
    assert status == 400 and "'//'" in error["message"] and upstream.questions == []


@pytest.mark.parametrize(("path", "status"), [("vector_stores", 200), ("vector_stores/", 200), ("messages", 200), ("new/thing/at/all", 200),
                                              ("vector_stores/v/files", 403), ("newer", 403), ("new", 403)])  # fmt: skip
def test_the_operator_can_open_paths_whose_cost_is_not_known(open_server, upstream, path, status):
    person = open_server.person(f"somebody {next(numbers)}")
    limit(open_server, person, tokens_per_day=1000, money_per_month=BILLION)
    upstream.script(answers.jsonly({"model": "m", "usage": {"input_tokens": 600, "output_tokens": 400}}))
    answer = person.post(f"/v1/{path}", data=b"{}", headers=JSON)
    assert answer.status_code == status
    if status == 200:
        assert open_server.event(answer)["usage"] == "exact"
        assert "; 1000 tokens used" in message(person.post(f"/v1/{path}", data=b"{}", headers=JSON))  # what it reports counts, and nothing passes any more


def test_an_opened_path_takes_bodies_that_are_not_read(open_server, upstream):
    person = open_server.person(f"somebody {next(numbers)}")
    limit(open_server, person, tokens_per_day=1000)
    upstream.script(whole(b"{}"))
    assert person.post("/v1/new/thing", data=b"v=0", headers={"Content-Type": "application/sdp"}).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_compression_hides_neither_the_model_nor_the_maximum(server, somebody, upstream, coding):
    compress = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}[coding]
    headers = {**JSON, "Content-Encoding": coding}
    limit(server, somebody, tokens_per_day=50_000, money_per_day=BILLION)
    asked = json.dumps({"model": "gpt-4o-mini", "max_tokens": 100_000, "messages": [{"role": "user", "content": "x" * 3910}]}).encode()
    assert f"may need {100_000 - -len(asked) // 4} tokens" in message(somebody.post("/v1/chat/completions", data=compress(asked), headers=headers))
    unpriced = asked.replace(b"gpt-4o-mini", b"nobody-priced-this")
    assert "nobody-priced-this" in error_of(somebody.post("/v1/chat/completions", data=compress(unpriced), headers=headers), 403)["message"]
    assert upstream.questions == []


def test_leaving_early_does_not_make_a_call_cheaper(server, somebody, upstream):
    limit(server, somebody, money_per_day=10_000_000)  # 0.01 USD: 18 reservations of 900 tokens at gpt-4o-mini's price
    begun, passed = SSE + chunked(WORD), 0
    while passed < 40:
        upstream.script(begun, threading.Event())
        data = body(900, stream=True).encode()
        with Wire(server) as wire:
            wire.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{bearer(somebody)}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
            status, headers = wire.head()
            if status != 200:
                upstream.forget()
                break
            assert wire.chunk()
        identity = dict(headers)["x-proxy-request-id"]
        assert server.event(identity)["usage"] == "estimated"
        passed += 1
    reserved = 100 * 150 + 900 * 600
    assert (status, passed) == (429, 10_000_000 // reserved)


@pytest.mark.parametrize("steps", [
    [SSE + chunked(WORD), HANG_UP], [HANG_UP], [SSE + chunked(WORD, b"data: [DONE]\n\n", b"")], [whole(b"{}")],
    [whole(b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}')],
    [whole(b"\x28\xb5\x2f\xfd", "application/json", "200 OK", "Content-Encoding: zstd")],
])  # fmt: skip
def test_a_call_without_a_report_that_can_be_believed_counts_as_it_was_reserved(server, somebody, upstream, steps):
    limit(server, somebody, tokens_per_day=1500)
    upstream.script(*steps)
    answer = ask(somebody, 900)
    assert server.event(answer)["usage"] in ("estimated", "unknown")
    assert "; 1000 tokens used, and this call may need 501 tokens" in message(ask(somebody, 401))


def test_an_estimate_that_is_larger_than_the_reservation_counts(server, somebody, upstream):
    limit(server, somebody, tokens_per_day=5000)
    upstream.script(SSE + chunked(b'data: {"choices":[{"delta":{"content":"' + b"word" * 1000 + b'"}}]}\n\n', b""))
    server.event(ask(somebody, 10))
    assert "; 1100 tokens used, and" in message(ask(somebody, 4900))


def test_an_exact_report_takes_the_place_of_the_reservation(server, somebody, upstream):
    limit(server, somebody, tokens_per_day=1500)
    upstream.script(SSE + chunked(WORD, USAGE), HANG_UP)
    assert server.event(ask(somebody, 900))["usage"] == "exact"
    assert "; 15 tokens used, and" in message(ask(somebody, 1490))


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_prompt_that_breaks_off_counts_as_it_was_reserved(server, somebody, upstream, stream):
    limit(server, somebody, tokens_per_day=6000)
    chat = somebody.ask("/chat/create", model="gpt-4o-mini").json()["id"]
    upstream.script(SSE + chunked(WORD), HANG_UP)
    event = server.event(somebody.ask("/chat/prompt", id=chat, prompt="Hello", stream=stream))
    reserved = 4096 + event["input_tokens"]
    assert event["usage"] == "estimated" and f"; {reserved} tokens used, and" in message(ask(somebody, 5000))


@pytest.mark.parametrize("response_format", ["text", "srt"])
def test_a_transcription_that_reports_nothing_counts_by_its_length(server, somebody, upstream, response_format):
    limit(server, somebody, money_per_day=BILLION)
    upstream.script(whole(b"Hello.", "text/plain"))
    fields = {"model": "whisper-1", "response_format": response_format}
    answer = somebody.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.mp3", b"x" * 4_800_000)})
    assert server.event(answer)["usage"] == "unknown"
    limit(server, somebody, money_per_day=1)
    said = message(logged_in_again(somebody).post("/v1/chat/completions", data=json.dumps({"model": "gpt-4o-mini"}), headers=JSON))
    assert "; 0.03000" in said  # 300 seconds at 0.006 a minute
