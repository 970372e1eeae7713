"""/chat/prompt: what goes upstream, what comes back, what is kept, on each backend and over two processes."""
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from proxy_gpt import clock, db
from proxy_gpt.config import check_database, load
from proxy_gpt.rules import messages
from proxy_gpt.upkeep import longest_reply
from tests.canary import KEY
from tests.fake_openai import HANG_UP, answers, whole
from tests.server import error_of, eventually, execute_on_database
from tests.wire import Wire, bearer


@pytest.fixture
def chat(alice):
    """A chat of Alice's alone."""
    return alice.ask("/chat/create", name="spain").json()["id"]


def prompt(person, chat, text, **more):
    """The answer to a prompt that must succeed."""
    answer = person.ask("/chat/prompt", id=chat, prompt=text, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(upstream, number=-1):
    """What the upstream was told, as (role, content) pairs."""
    return [(message["role"], message["content"]) for message in json.loads(upstream.questions[number].body)["messages"]]


def ask(wire, person, form):
    """Send a prompt on a connection that can be left."""
    lines = ["POST /chat/prompt HTTP/1.1", "Host: proxy", bearer(person), f"Content-Length: {len(form)}", "", form]
    wire.send("\r\n".join(lines).encode())


def read(person, chat):
    return person.get("/chat/read", params={"id": chat}).json()["messages"]


def test_a_prompt_is_answered_and_kept(alice, chat, upstream, proxy):
    answer = alice.ask("/chat/prompt", chat_id=chat, prompt="tell me about spain")
    body = answer.json()
    assert set(body) == {"reply", "message"} and body["reply"] == "You said: tell me about spain"
    message = body["message"]
    assert message == read(alice, chat)[0]
    assert (message["chat_id"], message["user_id"], message["prompt"]) == (chat, alice.id, "tell me about spain")
    assert (message["reply"], message["status"], message["otr"]) == (body["reply"], "complete", False)
    assert message["usage"] == {"input_tokens": 24, "output_tokens": 68}
    question = upstream.question()
    assert (question.method, question.target) == ("POST", "/v1/chat/completions")
    assert question.header("Authorization") == f"Bearer {KEY}"
    event = proxy.event(answer)
    assert (event["endpoint"], event["status"], event["outcome"], event["user_id"]) == ("/chat/prompt", 200, "complete", alice.id)
    assert (event["input_tokens"], event["output_tokens"], event["cached_tokens"], event["reasoning_tokens"]) == (24, 68, 16, 8)
    assert event["upstream_request_id"] == "req_fake" and event["model"] == message["model"]
    assert json.loads(event["request"])["prompt"] == "tell me about spain"


@pytest.mark.parametrize("model, sent", [("gpt-3", "gpt-4o-mini"), ("gpt-4", "gpt-4o"), ("", "gpt-4o-mini"), ("o9-maxi", "o9-maxi")])
def test_the_model_is_an_alias_or_goes_as_it_is(alice, upstream, model, sent):
    chat = alice.ask("/chat/create", **({"model": model} if model else {})).json()["id"]
    message = prompt(alice, chat, "hello")["message"]
    assert json.loads(upstream.question().body)["model"] == message["model"] == sent


def test_prior_prompts_go_along_oldest_first_ten_unless_told_otherwise(alice, chat, upstream):
    for number in range(13):
        prompt(alice, chat, f"p{number}")
    assert told(upstream) == dialogue(range(2, 12)) + [("user", "p12")]
    prompt(alice, chat, "p13", context=2)
    assert told(upstream) == dialogue(range(11, 13)) + [("user", "p13")]
    prompt(alice, chat, "p14", context=12)
    assert told(upstream) == dialogue(range(2, 14)) + [("user", "p14")]
    prompt(alice, chat, "p15", context=1000)
    assert told(upstream) == dialogue(range(15)) + [("user", "p15")]


def dialogue(numbers):
    return [turn for number in numbers for turn in (("user", f"p{number}"), ("assistant", f"You said: p{number}"))]


@pytest.mark.parametrize("context", ["0", "-1", "ten", "", "1.5", "1001", "9" * 5000, "true"])
def test_a_context_that_is_no_whole_number_above_0_is_refused(alice, chat, upstream, context):
    answer = alice.ask("/chat/prompt", id=chat, prompt="hello", context=context)
    assert error_of(answer, 400)["param"] == "context"
    assert not upstream.questions and not read(alice, chat)


@pytest.mark.parametrize("fields", [{}, {"prompt": ""}, {"prompt": "  \n "}, {"prompt": ["a", "b"]}, {"prompt": "a\0b"}])
def test_a_prompt_without_words_is_refused(alice, chat, upstream, fields):
    assert error_of(alice.ask("/chat/prompt", id=chat, **fields), 400)["param"] == "prompt"
    assert not upstream.questions and not read(alice, chat)


def test_the_system_prompt_goes_first_and_may_change(alice, upstream):
    chat = alice.ask("/chat/create", system="Be brief.").json()["id"]
    prompt(alice, chat, "p0")
    assert told(upstream) == [("system", "Be brief."), ("user", "p0")]
    alice.ask("/chat/update", id=chat, system="Be long.")
    prompt(alice, chat, "p1")
    assert told(upstream) == [("system", "Be long."), *dialogue([0]), ("user", "p1")]


def test_in_a_chat_of_several_people_each_message_carries_its_author(alice, bob, chat, upstream):
    prompt(alice, chat, "p0")
    assert "name" not in json.loads(upstream.question().body)["messages"][0]
    alice.ask("/chat/user/add", chat_id=chat, user_id=bob.id)
    prompt(bob, chat, "p1")
    names = [message.get("name") for message in json.loads(upstream.question(1).body)["messages"]]
    assert names == ["Alice", None, "Bob"]


def test_authors_stay_apart_whatever_their_names_are_written_in(proxy, upstream):
    people = [proxy.person(name) for name in ("田中", "山田", "josé", "jose", "jos_", "n" * 64 + "1", "n" * 64 + "2")]
    chat = people[0].ask("/chat/create").json()["id"]
    for person in people[1:]:
        people[0].ask("/chat/user/add", chat_id=chat, user_id=person.id)
    for person in people:
        prompt(person, chat, "hello", otr="true")
    prompt(people[0], chat, "from the table")
    prompt(people[0], chat, "from the cache")
    first, second = ([message["name"] for message in json.loads(question.body)["messages"] if message["role"] == "user"]
                     for question in upstream.questions)  # fmt: skip
    assert len(set(first)) == 7 and second == [*first, first[0]] and first[7] == first[0]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in first)  # what OpenAI takes
    assert first[2].startswith("jose_") and first[3:5] == ["jose", "jos_"]


def test_off_the_record_is_kept_and_used_later_but_not_sent(alice, chat, upstream):
    message = prompt(alice, chat, "p0", otr="true")["message"]
    assert (message["otr"], message["reply"], message["status"], message["usage"]) == (True, "", "complete", None)
    assert not upstream.questions
    assert read(alice, chat) == [message]
    prompt(alice, chat, "p1")
    assert told(upstream) == [("user", "p0"), ("user", "p1")]


def test_a_cold_cache_changes_no_context(start, new_database, upstream, backend, request):
    more = {} if backend == "sqlite" else {"REDIS_ADDRESS": request.getfixturevalue("redis_address"), "WEB_CONCURRENCY": "1"}
    server = start(DB_ADDRESS=new_database(backend), **more)
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    for number in range(3):
        prompt(alice, chat, f"p{number}")
    prompt(alice, chat, "p3", otr="true")
    server.kill()
    server.start()
    prompt(alice, chat, "p4")
    expected = [*dialogue(range(3)), ("user", "p3"), ("user", "p4")]
    assert told(upstream) == expected
    if more:
        request.getfixturevalue("redis_server").client.flushall()
        prompt(alice, chat, "p5")
        expected += [("assistant", "You said: p4"), ("user", "p5")]
        assert told(upstream) == expected
        for number, garbage in enumerate(("", "{", "[]", "{}", '{"revision": 6}'), start=6):  # another version's, say
            request.getfixturevalue("redis_server").client.set(f"proxy-gpt:cache:{chat}", garbage)
            prompt(alice, chat, f"p{number}", context=1)
            assert told(upstream) == [*dialogue([number - 1]), ("user", f"p{number}")]


def test_prompts_at_once_lose_nothing_and_leave_the_context_as_the_table_has_it(alice, chat, upstream):
    with ThreadPoolExecutor(5) as people:
        list(people.map(lambda number: prompt(alice, chat, f"p{number}"), range(5)))
    kept = read(alice, chat)
    assert sorted(message["prompt"] for message in kept) == [f"p{number}" for number in range(5)]
    for text in ("first", "second"):  # the second one finds the cache that the first one left
        prompt(alice, chat, text)
        expected = [turn for row in kept for turn in (("user", row["prompt"]), ("assistant", row["reply"]))]
        assert told(upstream) == [*expected, ("user", text)]
        kept = read(alice, chat)


def test_a_prompt_that_takes_long_to_send_has_the_place_in_the_context_that_it_has_in_the_table(alice, chat, upstream):
    body = f"id={chat}&prompt=long"
    with Wire(alice.server) as wire:
        status, _ = wire.ask("POST", "/chat/prompt", bearer(alice), "Expect: 100-continue", f"Content-Length: {len(body)}")
        assert status == 100  # it has begun
        prompt(alice, chat, "short")
        wire.send(body.encode())
        assert wire.head()[0] == 200
    kept = [message["prompt"] for message in read(alice, chat)]
    prompt(alice, chat, "and now?")
    assert [text for role, text in told(upstream) if role == "user"] == [*kept, "and now?"]


REFUSALS = {
    "upstream 400": (answers.error("400 Bad Request", "Too long.", "context_length_exceeded"), 400, "context_length_exceeded", "upstream_error"),
    "upstream 429": (answers.error("429 Too Many Requests", "Slow down.", "rate_limit_exceeded", "Retry-After: 7"), 429,
                     "rate_limit_exceeded", "upstream_error"),
    "upstream 400 without words": (whole(b'{"error": {"message": ["x"], "type": 7, "code": 5}}', "application/json", "400 Bad Request"), 400,
                                   "upstream_refused", "upstream_error"),
    "upstream 401": (answers.error("401 Unauthorized", "Bad key.", "invalid_api_key"), 502, "upstream_refused_key", "upstream_error"),
    "upstream 500": (answers.error("500 Internal Server Error", "Oh.", "server_error"), 502, "upstream_unreachable", "upstream_error"),
    "no JSON": (whole(b"<html>"), 502, "upstream_truncated", "upstream_truncated"),
    "a JSON list": (whole(b"[]"), 502, "upstream_truncated", "upstream_truncated"),
    "hang up": (HANG_UP, 502, "upstream_unreachable", "upstream_error"),
    "an error in a 200": (answers.jsonly({"error": {"message": "overloaded", "code": 503}}), 502, "upstream_truncated", "upstream_truncated"),
    "no choice": (answers.jsonly({"choices": []}), 502, "upstream_truncated", "upstream_truncated"),
    "half an answer": (whole(b'{"choices": []}')[:-5], 502, "upstream_truncated", "upstream_truncated"),
}  # fmt: skip


WORDS = {"upstream 400": "Too long.", "upstream 429": "Slow down.", "upstream 400 without words": "status 400",
         "an error in a 200": "overloaded"}  # of the upstream


@pytest.mark.parametrize("case", REFUSALS)
def test_a_failing_upstream_keeps_the_prompt_and_says_why(alice, chat, upstream, proxy, case):
    reply, status, code, outcome = REFUSALS[case]
    upstream.script(reply, HANG_UP)
    answer = alice.ask("/chat/prompt", id=chat, prompt="hello")
    error = error_of(answer, status)
    assert isinstance(error["type"], str) and error["code"] == code and WORDS.get(case, "") in error["message"]
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
    (message,) = read(alice, chat)
    assert (message["prompt"], message["status"], message["reply"], message["error"]) == ("hello", "failed", "", error["message"])
    assert proxy.event(answer)["outcome"] == outcome
    prompt(alice, chat, "again")
    assert told(upstream) == [("user", "again")]


def test_a_silent_upstream_is_a_504(start, upstream):
    alice = start(UPSTREAM_TIMEOUT="1").person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    upstream.script(threading.Event())
    assert error_of(alice.ask("/chat/prompt", id=chat, prompt="hello"), 504)["code"] == "upstream_timeout"
    assert read(alice, chat)[0]["status"] == "failed"


def test_who_leaves_before_the_reply_cancels_the_prompt(alice, chat, upstream, proxy):
    upstream.script(threading.Event())
    with Wire(proxy) as wire:
        ask(wire, alice, f"id={chat}&prompt=hello")
        question = upstream.question()
    assert question.gone.wait(1)
    message = eventually(lambda: [m for m in read(alice, chat) if m["status"] != "streaming"])[0]
    assert message["status"] == "cancelled"
    assert proxy.event(message["id"])["outcome"] == "client_gone"


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_prompt_in_flight_when_the_process_is_killed_is_failed(start, database, upstream, stream):
    server = start(DB_ADDRESS=database)
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    upstream.script(threading.Event())
    with Wire(server) as wire:
        ask(wire, alice, f"id={chat}&prompt=hello&stream={stream}")
        upstream.question()
        server.kill()
    server.start()
    message = eventually(lambda: [m for m in read(alice, chat) if m["status"] != "streaming"])[0]
    assert message["status"] == "failed" and message["error"]
    assert server.event(message["id"])["outcome"] == "interrupted"


def test_a_reply_that_nobody_ended_is_given_up_when_it_cannot_come_any_more(sqlite_proxy, dora):
    chat = dora.ask("/chat/create").json()["id"]
    for seconds in (7500, 9000):
        identity = prompt(dora, chat, f"{seconds} seconds ago", otr="true")["message"]["id"]
        then = clock.to_text(clock.now() - timedelta(seconds=seconds))
        execute_on_database(sqlite_proxy.database, "UPDATE messages SET status = 'streaming', created_at = ? WHERE id = ?", then, identity)
    opened = db.open_database(check_database(sqlite_proxy.database, "the test's database"))
    db.bind(opened)
    messages.fail_forgotten(longest_reply(load({"ANSWER_TIMEOUT": "7200"})))
    opened.close_all()
    assert [message["status"] for message in read(dora, chat)] == ["streaming", "failed"]
