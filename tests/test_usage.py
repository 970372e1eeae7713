"""What each call used is what the upstream reported, or an estimate, or said to be unknown: never a silent nothing."""
import base64
import json
import threading

import pytest

from tests.conftest import numbers
from tests.fake_openai import HANG_UP, answers, chunked, head, whole
from tests.server import error_of, eventually
from tests.wire import Wire, bearer

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "seconds")
CHAT = {"messages": [{"role": "user", "content": "Hello there"}], "model": "gpt-4o-mini"}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
WORDS = b"".join(b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % word for word in (b"Once upon", b" a time"))
SAID = 4  # the tokens of these words, 16 bytes of them


def recording(model):
    """The form with which a recording is uploaded."""
    return f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n--b\r\n\r\n\r\nsound\r\n--b--\r\n'.encode()


@pytest.fixture(scope="module")
def server(start):
    """A server on SQLite: the figures come about before the database."""
    return start()


@pytest.fixture(scope="module")
def eve(server):
    """Somebody there, in no team."""
    return server.person("Eve")


def send(eve, path, body):
    """Send a JSON body, or a form as bytes."""
    if isinstance(body, bytes):
        return eve.post(path, data=body, headers=FORM)
    return eve.post(path, data=json.dumps(body), headers={"Content-Type": "application/json"})


def used(event):
    """How its usage is known, and the counts."""
    return event["usage"], *(event[name] for name in COUNTS)


REPORTED = {  # with the cost in billionths of a dollar
    "a chat completion": ("/v1/chat/completions", CHAT, (24, 68, 16, 8, None), 43200),
    "a streamed one": ("/v1/chat/completions", {**CHAT, **STREAM}, (24, 68, 16, 8, None), 43200),
    "a completion": ("/v1/completions", {"prompt": "Once"}, (24, 68, 16, 8, None), 43200),
    "a streamed completion": ("/v1/completions", {"prompt": "Once", **STREAM}, (24, 68, 16, 8, None), 43200),
    "a response": ("/v1/responses", {"input": "Hello"}, (31, 7, 5, 3, None), 8475),
    "a streamed response": ("/v1/responses", {"input": "Hello", "stream": True}, (31, 7, 5, 3, None), 8475),
    "embeddings": ("/v1/embeddings", {"input": ["Hello"]}, (5, None, None, None, None), 100),
    "a transcription billed by seconds": ("/v1/audio/transcriptions", recording("whisper-1"), (None, None, None, None, 12), 1_200_000),
    "a transcription billed by tokens": ("/v1/audio/transcriptions", recording("gpt-4o-transcribe"), (14, 45, None, None, None), 534_000),
    "an image": ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "A cat"}, (50, 1056, None, None, None), 42_740_000),
    "a streamed run": ("/v1/threads/t/runs", {"assistant_id": "a", "stream": True}, (20, 11, 0, None, None), 9600),
}  # fmt: skip


@pytest.mark.parametrize("case", REPORTED)
def test_what_the_upstream_reports_is_exact_and_priced(server, eve, upstream, case):
    path, body, counts, cost = REPORTED[case]
    event = server.event(send(eve, path, body))
    assert used(event) == ("exact", *counts) and event["cost"] == cost


SPELLINGS = {  # a report, and what it says of (input, cached, output) tokens
    "OpenAI's": ({"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 16}}, (20, 16, 5)),
    "of responses": ({"input_tokens": 20, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 16}}, (20, 16, 5)),
    "of sounds": ({"input_tokens": 20, "output_tokens": 5, "input_token_details": {"cached_tokens": 16, "audio_tokens": 4}}, (20, 16, 5)),
    "of runs": ({"prompt_tokens": 20, "completion_tokens": 5, "prompt_token_details": {"cached_tokens": 16}}, (20, 16, 5)),
    "Anthropic's": ({"input_tokens": 2000, "cache_read_input_tokens": 18000, "output_tokens": 5}, (20000, 18000, 5)),
    "Anthropic's with a new cache": (
        {"input_tokens": 10, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 0, "output_tokens": 5}, (310, 0, 5),
    ),
    "Anthropic's, all from the cache": ({"cache_read_input_tokens": 18000, "output_tokens": 5}, (18000, 18000, 5)),
    "DeepSeek's": ({"prompt_tokens": 20, "completion_tokens": 5, "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 4}, (20, 16, 5)),
    "Moonshot's": ({"prompt_tokens": 20, "completion_tokens": 5, "cached_tokens": 16}, (20, 16, 5)),
    "LiteLLM's, whose input has all": (
        {"prompt_tokens": 1000, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 900}, "cache_read_input_tokens": 900}, (1000, 900, 5),
    ),
    "with details that say nothing of a cache": ({"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 1}}, (20, None, 5)),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_cached_tokens_are_known_in_each_spelling(server, eve, upstream, path, spelling):
    report, (tokens_in, cached, tokens_out) = SPELLINGS[spelling]
    upstream.script(answers.jsonly({"model": "gpt-4o", "usage": report}))
    event = server.event(send(eve, path, {"model": "gpt-4o"}))
    assert (event["usage"], event["input_tokens"], event["cached_tokens"], event["output_tokens"]) == ("exact", tokens_in, cached, tokens_out)
    assert event["cost"] == 2500 * (tokens_in - (cached or 0)) + 1250 * (cached or 0) + 10_000 * tokens_out


NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
HELLO = {"choices": [{"message": {"content": "Once upon a ti"}}]}
UNBELIEVABLE = {
    "zeros beside words": ("/v1/chat/completions", whole(json.dumps({**HELLO, "usage": NOTHING}).encode()), SAID),
    "no output beside words": ("/v1/chat/completions", whole(json.dumps({**HELLO, "usage": {"prompt_tokens": 9}}).encode()), SAID),
    "zeros beside streamed words": ("/v1/chat/completions", SSE + chunked(WORDS, b'data: {"choices":[],"usage":{"prompt_tokens":0}}\n\n', b""), SAID),
    "zeros beside a response": (
        "/v1/responses", whole(b'{"output":[{"content":[{"text":"Once upon a ti"}]}],"usage":{"input_tokens":0,"output_tokens":0}}'), SAID,
    ),
    "zeros for embeddings": ("/v1/embeddings", whole(json.dumps({"data": [], "usage": NOTHING}).encode()), None),
}  # fmt: skip


@pytest.mark.parametrize("case", UNBELIEVABLE)
def test_a_report_that_cannot_be_true_is_not_believed(server, eve, upstream, case):
    path, answer, said = UNBELIEVABLE[case]
    upstream.script(answer)
    assert used(server.event(send(eve, path, CHAT))) == ("estimated", told(CHAT), said, None, None, None)


NOT_COUNTED = {
    "a stored chat completion": ("GET", "/v1/chat/completions/c", None), "one that is changed": ("POST", "/v1/chat/completions/c", b"{}"),
    "a stored response": ("GET", "/v1/responses/r", None), "one that is cancelled": ("POST", "/v1/responses/r/cancel", b"{}"),
    "a file": ("POST", "/v1/files", b"{}"), "the models": ("GET", "/v1/models", None), "an unknown path": ("POST", "/v1/nothing", b"{}"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_COUNTED)
def test_what_repeats_a_usage_or_has_none_counts_nothing(server, eve, upstream, case):
    method, path, body = NOT_COUNTED[case]
    event = server.event(eve.request(method, path, data=body))
    assert used(event) == ("", None, None, None, None, None) and event["cost"] is None


UNKNOWN = {
    "speech": ("/v1/audio/speech", {"model": "tts-1", "input": "Hello"}), "in the background": ("/v1/responses", {"input": "Hello", "background": True}),
    "a queued run": ("/v1/threads/t/runs", {"assistant_id": "a"}),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_where_nothing_can_be_said_it_is_unknown(server, eve, upstream, case):
    event = server.event(send(eve, *UNKNOWN[case]))
    assert used(event) == ("unknown", None, None, None, None, None) and event["cost"] is None


def test_a_recording_whose_answer_breaks_off_is_unknown(server, eve, upstream):
    upstream.script(HANG_UP)
    assert used(server.event(send(eve, "/v1/audio/transcriptions", recording("whisper-1"))))[0] == "unknown"


def told(body):
    """The tokens that a body is estimated to be."""
    return -(-len(json.dumps(body)) // 4)


RESPONSE = b"".join(b'event: response.output_text.%b\ndata: {"type":"x","%b":"Once upon a time"}\n\n' % kind for kind in ((b"delta", b"delta"), (b"done", b"text")))
ESTIMATED = {  # what the upstream does, and the tokens of the words that arrived
    "does not tell": ([SSE + chunked(WORDS, b"data: [DONE]\n\n", b"")], SAID),
    "does not tell, in JSON": ([whole(b'{"choices":[{"message":{"content":"Once upon \\"a"}}]}')], SAID),
    "breaks off": ([SSE + chunked(WORDS), HANG_UP], SAID),
    "breaks off in a word": ([SSE + chunked(WORDS, b'data: {"choices":[{"delta":{"content":" lon'), HANG_UP], SAID + 1),
    "breaks off before a word": ([SSE, HANG_UP], None),
    "hangs up": ([HANG_UP], None),
    "breaks off what it repeats": ([SSE + chunked(RESPONSE), HANG_UP], SAID),
}  # fmt: skip


@pytest.mark.parametrize("case", ESTIMATED)
def test_without_a_report_the_text_is_estimated(server, eve, upstream, case):
    steps, said = ESTIMATED[case]
    upstream.script(*steps)
    path = "/v1/responses" if "repeats" in case else "/v1/chat/completions"
    event = server.event(send(eve, path, CHAT))
    assert used(event) == ("estimated", told(CHAT), said, None, None, None)
    priced = 2500 * told(CHAT) + 10_000 * (said or 0) if event["model"] == "gpt-4o" else 150 * told(CHAT) + 600 * (said or 0)
    assert event["cost"] == priced


def test_a_model_named_behind_long_messages_is_found(server, eve, upstream):
    hello = {"role": "user", "content": "Hello there " * 10_000}
    body = {"metadata": {"model": "run-17"}, "messages": [hello], "model": "gpt-4o", "tools": [{"model": "}"}], "prediction": {"model": "]"}}
    upstream.script(HANG_UP)
    event = server.event(send(eve, "/v1/chat/completions", body))
    assert (event["model"], event["input_tokens"], event["cost"]) == ("gpt-4o", told(body), 2500 * told(body))


def test_a_report_before_the_break_is_exact(server, eve, upstream):
    upstream.script(SSE + chunked(WORDS, b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}\n\n'), HANG_UP)
    assert used(server.event(send(eve, "/v1/chat/completions", CHAT)))[:3] == ("exact", 5, 6)


def test_a_picture_in_the_request_is_not_taken_for_text(server, eve, upstream):
    picture = base64.b64encode(bytes(range(256)) * 1000).decode()
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}, {"type": "input_audio", "input_audio": {"data": picture}}]
    upstream.script(SSE + chunked(WORDS, b""))
    event = server.event(send(eve, "/v1/chat/completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}))
    assert used(event)[:3] == ("estimated", told({"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}) - 2 * len(picture) // 4, SAID)


@pytest.mark.parametrize("when", ["in the middle", "before the answer"])
def test_a_caller_who_leaves_is_charged_for_what_came(server, eve, upstream, when):
    begun = (SSE + chunked(WORDS),) if when == "in the middle" else ()
    upstream.script(*begun, threading.Event())
    body = json.dumps(CHAT).encode()
    with Wire(server) as wire:
        mark = f"/v1/chat/completions?n={next(numbers)}"
        wire.send(f"POST {mark} HTTP/1.1\r\nHost: x\r\n{bearer(eve)}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        asked = upstream.question()
        if begun:
            wire.head()
            assert wire.chunk()
    assert asked.gone.wait(2)
    event = eventually(lambda: server.events(params=mark.partition("?")[2]))[0]
    assert used(event) == ("estimated", told(CHAT), SAID if begun else None, None, None, None) and event["outcome"] == "client_gone"


REFUSALS = {
    "bad": [answers.error("400 Bad Request", "x", "x")], "too much": [answers.error("429 Too Many Requests", "x", "x")],
    "broken": [answers.error("500 Oops", "x", "x")], "our key": [answers.error("401 Unauthorized", "x", "x")],
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_upstream_refuses_used_nothing(server, eve, upstream, case):
    upstream.script(*REFUSALS[case])
    assert used(server.event(send(eve, "/v1/chat/completions", CHAT)))[0] == ""


def test_what_never_reached_the_upstream_used_nothing(start, server, eve, upstream):
    with Wire(server) as wire:
        wire.send(f"POST /v1/chat/completions?half HTTP/1.1\r\nHost: x\r\n{bearer(eve)}\r\nContent-Length: 500000\r\n\r\n".encode() + b"x" * 300_000)
        eventually(lambda: upstream.connections)
    assert used(eventually(lambda: server.events(params="half"))[0])[0] == ""
    alone = start(API_URL="http://127.0.0.1:1")
    assert used(alone.event(send(alone.person("Eve"), "/v1/chat/completions", CHAT)))[0] == ""


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_is_counted_too(server, eve, upstream, stream):
    chat = eve.ask("/chat/create", model="gpt-4o-mini").json()["id"]
    message = eve.ask("/chat/prompt", id=chat, prompt="Hello", stream=stream).json()["message"]
    event = server.event(message["id"])
    assert used(event) == ("exact", 24, 68, 16, 8, None) and event["cost"] == 43200
    upstream.script(SSE + chunked(WORDS), HANG_UP)
    failed = eve.ask("/chat/prompt", id=chat, prompt="Hello", stream=stream)
    event = server.event(failed)
    assert used(event)[::2][:2] == ("estimated", SAID) and event["input_tokens"] == -(-upstream.question(1).size // 4)
    assert used(server.event(eve.ask("/chat/prompt", id=chat, prompt="Hello", otr=True)))[0] == ""
    upstream.script(*REFUSALS["bad"])
    assert used(server.event(eve.ask("/chat/prompt", id=chat, prompt="Hello")))[0] == ""


def test_a_call_is_charged_to_the_team_that_it_names_else_to_the_first(proxy, upstream):
    alice, bob = proxy.person(f"owner {next(numbers)}"), proxy.person(f"member {next(numbers)}")
    first, second, strange = (who.ask("/team/create", name=name).json()["id"] for who, name in ((alice, "1"), (alice, "2"), (bob, "3")))

    def charged(person, path="/v1/models", **headers):
        return proxy.event(person.get(path, headers=headers))["team_id"]

    assert eventually(lambda: charged(alice) == first) and charged(alice, **{"x-proxy-team": second}) == second
    assert charged(bob) == strange
    asked = len(upstream.questions)
    refused = alice.get("/v1/models", headers={"x-proxy-team": strange})
    assert error_of(refused, 404)["param"] == "x-proxy-team" and proxy.event(refused)["team_id"] is None
    alice.ask("/team/members/add", team_id=second, user_ids=bob.id)
    assert charged(bob, **{"x-proxy-team": second}) == second and charged(bob) == strange  # at once, though a caller is remembered
    assert len(upstream.questions) == asked + 2 and all(question.header("x-proxy-team") is None for question in upstream.questions)
    ours, alone = alice.ask("/chat/create", team_id=second).json()["id"], alice.ask("/chat/create").json()["id"]
    for chat, team in ((ours, second), (alone, first)):
        assert proxy.event(alice.ask("/chat/prompt", id=chat, prompt="Hello"))["team_id"] == team


def test_who_is_in_no_team_is_charged_alone(server, eve, upstream):
    assert server.event(eve.get("/v1/models"))["team_id"] is None
