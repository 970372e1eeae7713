"""/chat/stream: what subscribers hear, over server-sent events and WebSockets, on each backend and over two processes."""
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from tests.fake_openai import HANG_UP, answers, chunked, head
from tests.server import error_of, eventually
from tests.subscriber import EventSource, WebSocket, web_socket
from tests.wire import WEB_SOCKET, Wire, bearer, seconds_until

KINDS = [EventSource, WebSocket]
HEAD = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture
def chat(alice, bob):
    """A chat of Alice's with Bob."""
    chat = alice.ask("/chat/create", name="spain").json()["id"]
    alice.ask("/chat/user/add", chat_id=chat, user_id=bob.id)
    return chat


def piece(text, finish_reason=None):
    """One chunk of the upstream's stream."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish_reason}
    return chunked(b"data: " + answers.json.dumps({"choices": [choice]}).encode() + b"\n\n")


def replies(messages):
    return [message["message"]["reply"] for message in messages]


@pytest.mark.parametrize("kind", KINDS)
def test_a_streamed_prompt_is_answered_at_once_and_its_words_reach_every_subscriber(alice, bob, chat, upstream, kind, proxy):
    listeners = [kind(alice, chat), kind(bob, chat)]
    answer = alice.ask("/chat/prompt", id=chat, prompt="tell me about spain", stream="true")
    body = answer.json()
    assert (body["reply"], body["message"]["reply"], body["message"]["status"]) == ("", "", "streaming")
    for listener in listeners:
        *partial, whole = listener.until_whole()
        assert replies(partial) == ["You", " said:", " tell", " me", " about", " spain"]
        assert {message["message"]["id"] for message in partial} == {body["message"]["id"]}
        assert all(message["message"]["prompt"] == "tell me about spain" for message in partial)
        assert (whole["message"]["reply"], whole["message"]["status"]) == ("You said: tell me about spain", "complete")
        assert whole["message"]["usage"] == {"input_tokens": 24, "output_tokens": 68}
        listener.close()
    kept = alice.get("/chat/read", params={"id": chat}).json()["messages"]
    assert kept == [whole["message"]]
    event = proxy.event(answer)
    assert (event["outcome"], event["input_tokens"], event["output_tokens"]) == ("complete", 24, 68)


@pytest.mark.parametrize("kind", KINDS)
def test_each_piece_is_there_before_the_upstream_sends_the_next(alice, chat, upstream, kind):
    go_on = [threading.Event() for _ in range(3)]
    upstream.script(HEAD + piece("one"), go_on[0], piece(" two"), go_on[1], piece("", "stop") + chunked(b""))
    listener = kind(alice, chat)
    alice.ask("/chat/prompt", id=chat, prompt="count", stream="true")
    assert replies([listener.next()]) == ["one"]
    go_on[0].set()
    assert replies([listener.next()]) == [" two"]
    go_on[1].set()
    assert replies([listener.next()]) == ["one two"]
    listener.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_prompt_and_one_off_the_record_reach_subscribers_as_one_whole_message(alice, bob, chat, upstream, kind):
    listener = kind(bob, chat)
    plain = alice.ask("/chat/prompt", id=chat, prompt="hello").json()["message"]
    assert listener.next() == {"message": plain, "partial": False}
    otr = alice.ask("/chat/prompt", id=chat, prompt="between us", otr="true").json()["message"]
    assert listener.next() == {"message": otr, "partial": False}
    listener.close()


def test_a_reply_goes_on_when_the_person_who_asked_leaves(alice, bob, chat, upstream):
    go_on = threading.Event()
    upstream.script(HEAD + piece("one"), go_on, piece(" two", "stop") + chunked(b""))
    listener = EventSource(bob, chat)
    requests.post(f"{alice.server.url}/chat/prompt", data={"id": chat, "prompt": "count", "stream": "true"},
                  headers={**alice.headers, "Connection": "close"}, timeout=10)  # fmt: skip
    listener.next()
    go_on.set()
    assert replies(listener.until_whole())[-1] == "one two"
    assert alice.get("/chat/read", params={"id": chat}).json()["messages"][0]["status"] == "complete"
    listener.close()


@pytest.mark.parametrize("deleted", ["chat", "team"])
def test_replies_end_with_their_chat_at_whichever_process(alice, bob, upstream, proxy, deleted):
    team = alice.ask("/team/create", name="ours", user_ids=bob.id).json()["id"]
    chat = alice.ask("/chat/create", team_id=team).json()["id"]
    upstream.script(HEAD + piece("half"), threading.Event())
    upstream.script(threading.Event())
    streamed = bob.ask("/chat/prompt", id=chat, prompt="streamed", stream="true")
    upstream.question(0)
    with ThreadPoolExecutor(1) as waiting:
        plain = waiting.submit(bob.ask, "/chat/prompt", id=chat, prompt="plain")
        upstream.question(1)
        assert alice.ask(f"/{deleted}/delete", id={"chat": chat, "team": team}[deleted]).status_code == 200
        assert upstream.question(0).gone.wait(5) and upstream.question(1).gone.wait(5)
        error_of(plain.result(), 404)
    assert [proxy.event(answer)["outcome"] for answer in (streamed, plain.result())] == ["interrupted"] * 2


FAILURES = {
    "breaks off": (HEAD + piece("half"), HANG_UP),
    "ends without an end": (HEAD + piece("half") + chunked(b""),),
    "sends an error": (HEAD + piece("half") + chunked(b'data: {"error": {"message": "overloaded"}}\n\n', b""),),
    "sends nothing but its end": (HEAD + chunked(b'data: {"choices": []}\n\ndata: [DONE]\n\n', b""),),
    "sends garbage": (HEAD + piece("half") + chunked(b"data: {half\n\n", b""),),
    "refuses": (answers.error("429 Too Many Requests", "Slow down.", "rate_limit_exceeded"),),
    "hangs up": (HANG_UP,),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_reply_that_fails_is_told_and_kept_with_what_had_arrived(alice, chat, upstream, case):
    upstream.script(*FAILURES[case])
    listener = EventSource(alice, chat)
    assert alice.ask("/chat/prompt", id=chat, prompt="hello", stream="true").status_code == 200
    whole = listener.until_whole()[-1]["message"]
    assert (whole["status"], whole["reply"]) == ("failed", "half" if FAILURES[case][0].__class__ is bytes and b"half" in FAILURES[case][0] else "")
    assert whole["error"].endswith("overloaded." if case == "sends an error" else ".")
    assert alice.get("/chat/read", params={"id": chat}).json()["messages"] == [whole]
    listener.close()


def test_a_reply_without_an_end_ends_and_what_had_arrived_of_it_is_kept(alice, chat, upstream):
    upstream.script(HEAD, *[piece("x" * (1 << 20))] * 9, threading.Event())
    message = alice.ask("/chat/prompt", id=chat, prompt="hello", stream="true").json()["message"]
    (row,) = eventually(lambda: alice.server.rows("SELECT * FROM messages WHERE id = ? AND status != 'streaming'", message["id"]), within=10)
    assert (row["status"], len(row["reply"])) == ("failed", 4 << 20) and "longer" in row["error"]


@pytest.mark.parametrize("kind", KINDS)
def test_who_comes_back_gets_the_whole_messages_missed_and_no_other(alice, chat, upstream, kind):
    first = EventSource(alice, chat)
    alice.ask("/chat/prompt", id=chat, prompt="p0")
    first.next()
    first.close()
    for text in ("p1", "p2"):
        alice.ask("/chat/prompt", id=chat, prompt=text)
    last_id = first.ids[-1]
    again = kind(alice, chat, last_event_id=last_id)
    missed = [again.next()["message"] for _ in range(2)]
    assert [message["prompt"] for message in missed] == ["p1", "p2"]
    assert [message["revision"] for message in missed] == [int(last_id) + 1, int(last_id) + 2]
    alice.ask("/chat/prompt", id=chat, prompt="p3")
    assert again.next()["message"]["prompt"] == "p3"
    assert [message["partial"] for message in again.heard] == [False] * 3
    again.close()


@pytest.mark.parametrize("kind", KINDS)
def test_who_comes_back_with_an_id_beyond_the_chats_own_hears_what_is_said_from_now_on(alice, chat, upstream, kind):
    """Of another chat, or of this one before a backup was restored."""
    alice.ask("/chat/prompt", id=chat, prompt="p0", otr="true")
    listener = kind(alice, chat, last_event_id=999)
    for text, more in (("p1", {"otr": "true"}), ("p2", {}), ("p3", {"stream": "true"})):
        alice.ask("/chat/prompt", id=chat, prompt=text, **more)
        whole = listener.until_whole()[-1]["message"]
        assert (whole["prompt"], whole["revision"]) == (text, int(text[1]) + 1)
    listener.close()


def test_an_event_source_comes_back_with_a_header(alice, chat, upstream):
    alice.ask("/chat/prompt", id=chat, prompt="p0")
    alice.headers["Last-Event-ID"] = "0"
    with alice.get("/chat/stream", params={"id": chat}, stream=True) as answer:
        del alice.headers["Last-Event-ID"]
        lines = answer.iter_lines(chunk_size=1)
        assert answer.headers["Content-Type"] == "text/event-stream" and answer.headers["X-Accel-Buffering"] == "no"
        assert [next(lines).partition(b":")[0] for _ in range(5)] == [b"retry", b"id", b"", b"id", b"data"]


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 5000])
def test_a_last_event_id_that_is_none_is_refused(alice, chat, value):
    assert error_of(alice.get("/chat/stream", params={"id": chat, "last_event_id": value}), 400)["param"] == "last_event_id"


def test_the_token_may_be_a_parameter_here_and_nowhere_else(alice, chat, proxy, upstream):
    parameters = {"id": chat, "token": alice.token}
    with requests.get(f"{proxy.url}/chat/stream", params=parameters, stream=True, timeout=10) as answer:
        assert answer.status_code == 200
        identity = answer.headers["x-proxy-request-id"]
    for path in ("/chat/read", "/user/session", "/v1/models"):
        error_of(requests.get(f"{proxy.url}{path}", params=parameters, timeout=10), 401)
    assert alice.token not in str(proxy.event(identity))


@pytest.mark.parametrize("way", ["authorization header", "cookie"])
def test_a_web_socket_takes_the_header_and_the_cookie_too(alice, chat, way):
    headers = {"Authorization": f"Bearer {alice.token}"} if way == "authorization header" else {"Cookie": f"sess={alice.token}"}
    with web_socket(alice.server.url, {"id": chat}, **headers) as ws:
        said = alice.ask("/chat/prompt", id=chat, prompt="hello", otr="true").json()["message"]
        assert json.loads(ws.recv(timeout=5)) == {"message": said, "partial": False}


@pytest.mark.parametrize("token, chat_of, code", [("nonsense", "alice", 4401), (None, "charlie", 4404), (None, "nobody", 4400)])
def test_a_web_socket_is_refused_with_a_code_of_its_own(alice, chat, charlie, token, chat_of, code, proxy):
    identity = {"alice": chat, "charlie": charlie.ask("/chat/create").json()["id"], "nobody": None}[chat_of]
    with web_socket(proxy.url, {"token": token or alice.token, "id": identity}) as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert closed.value.rcvd.code == code and closed.value.rcvd.reason.endswith(".")


@pytest.mark.parametrize("missing", WEB_SOCKET[2:])
def test_half_a_handshake_is_a_400(alice, chat, proxy, missing):
    lines = [line for line in WEB_SOCKET if line != missing]
    with Wire(proxy) as wire:
        status, headers = wire.ask("GET", f"/chat/stream?id={chat}", bearer(alice), *lines)
        assert status == 400 and dict(headers)["content-type"] == "application/json"


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_removed_hears_no_more(alice, bob, chat, kind):
    listener, stays = kind(bob, chat), kind(alice, chat)
    alice.ask("/chat/user/remove", chat_id=chat, user_id=bob.id)
    assert listener.closed.wait(5)
    assert listener.close_code in (4404, None)
    assert not stays.closed.is_set()
    alice.ask("/chat/delete", id=chat)
    assert stays.closed.wait(5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/user/logout", "/user/password/update"])
def test_a_session_that_ends_ends_its_streams(newcomer, kind, path, proxy):
    chat = newcomer.ask("/chat/create").json()["id"]
    token = requests.post(f"{proxy.url}/user/login", data={"username": newcomer.name, "password": newcomer.password}, timeout=10).json()["token"]
    listener, stays = kind(newcomer, chat, token=token), kind(newcomer, chat)
    fields = {"token": token} if path == "/user/logout" else {"old_password": newcomer.password, "new_password": "another"}
    assert newcomer.ask(path, **fields).status_code == 200
    assert listener.closed.wait(2)
    assert listener.close_code in (4401, None)
    assert not stays.closed.is_set()
    stays.close()


@pytest.mark.parametrize("kind", KINDS)
def test_who_leaves_is_forgotten_at_once(alice, chat, kind, proxy):
    listener = kind(alice, chat)
    count = len(proxy.events(endpoint="/chat/stream", outcome="complete"))
    listener.close()
    eventually(lambda: len(proxy.events(endpoint="/chat/stream", outcome="complete")) > count, within=3)


@pytest.mark.parametrize("kind", KINDS)
def test_when_the_server_stops_subscribers_are_sent_on_and_replies_are_kept_as_far_as_they_came(start, database, upstream, kind):
    server = start(DB_ADDRESS=database, DRAIN_SECONDS="1")
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    listener = kind(alice, chat)
    upstream.script(HEAD + piece("half"), threading.Event())
    alice.ask("/chat/prompt", id=chat, prompt="hello", stream="true")
    listener.next()
    alice.close()  # else the server waits some seconds for her next request
    server.process.terminate()
    assert seconds_until(listener.closed, within=3) < 3
    assert listener.close_code in (1001, None)
    assert upstream.question().gone.wait(5)
    server.process.wait(10)
    server.start()
    (message,) = alice.get("/chat/read", params={"id": chat}).json()["messages"]
    assert (message["status"], message["reply"]) == ("failed", "half")
    assert server.event(message["id"])["outcome"] == "interrupted"


def test_a_reply_that_ends_within_the_drain_is_whole(start, database, upstream):
    server = start(DB_ADDRESS=database, DRAIN_SECONDS="10")
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    go_on = threading.Event()
    upstream.script(HEAD + piece("one"), go_on, piece(" two", "stop") + chunked(b""))
    listener = EventSource(alice, chat)
    alice.ask("/chat/prompt", id=chat, prompt="count", stream="true")
    listener.next()
    alice.close()  # else the server waits some seconds for her next request
    server.process.terminate()
    assert listener.closed.wait(5)
    go_on.set()
    server.process.wait(10)
    server.start()
    assert alice.get("/chat/read", params={"id": chat}).json()["messages"][0]["reply"] == "one two"


@pytest.mark.parametrize("proxy", ["postgres and redis"], indirect=True)  # the queue is the process's own, and 70 MB go through it
def test_one_who_never_reads_harms_nobody(alice, bob, chat, upstream, proxy):
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", proxy.port))
    deaf.sendall(f"GET /chat/stream?id={chat} HTTP/1.1\r\nHost: proxy\r\n{bearer(bob)}\r\n\r\n".encode())
    listener = EventSource(alice, chat)
    long = "x" * 900_000
    before = proxy.memory()
    for _ in range(80):
        alice.ask("/chat/prompt", id=chat, prompt=long, otr="true")
        assert listener.next()["message"]["prompt"] == long
    assert proxy.memory() - before < 45 << 20
    deaf.close()
    listener.close()


def test_fifty_and_fifty_subscribers_hear_every_piece_of_twenty_replies_in_order(proxy, alice, chat, upstream):
    listeners = [kind(alice, chat) for kind in KINDS for _ in range(50)]
    expected = []
    for number in range(20):
        words = ["You", " said:", *(f" w{number}.{word}" for word in range(10))]
        alice.ask("/chat/prompt", id=chat, prompt="".join(words[2:]).strip(), stream="true", context=1)
        expected += [*words, "".join(words)]
        listeners[0].until_whole()
    for listener in listeners:
        eventually(lambda: len(listener.heard) >= len(expected), within=20)
        assert replies(listener.heard) == expected
        listener.close()


def test_two_replies_at_once_do_not_mix(alice, bob, chat, upstream):
    go_on = threading.Event()
    upstream.script(HEAD + piece("one"), go_on, piece(" two", "stop") + chunked(b""))
    listener = WebSocket(alice, chat)
    slow = alice.ask("/chat/prompt", id=chat, prompt="slow", stream="true").json()["message"]["id"]
    listener.next()
    fast = bob.ask("/chat/prompt", id=chat, prompt="fast").json()["message"]["id"]
    assert listener.next()["message"]["id"] == fast
    go_on.set()
    assert [message["message"]["id"] for message in listener.until_whole()] == [slow, slow]
    assert replies(listener.heard)[-1] == "one two"
    listener.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_has_so_many_streams_open_and_may_open_another_when_one_is_closed(few_streams, kind):
    alice = few_streams.person(f"Alice {kind.__name__}")
    bob = few_streams.person(f"Bob {kind.__name__}")
    chat = alice.ask("/chat/create").json()["id"]
    alice.ask("/chat/user/add", chat_id=chat, user_id=bob.id)
    listeners = [EventSource(alice, chat), WebSocket(alice, chat)]
    refused = alice.get("/chat/stream", params={"id": chat})
    assert "2 streams" in error_of(refused, 429)["message"] and int(refused.headers["Retry-After"]) > 0
    with web_socket(few_streams.url, {"token": alice.token, "id": chat}) as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert closed.value.rcvd.code == 4429 and closed.value.rcvd.reason.endswith(".")
    listeners.append(kind(bob, chat))  # others have places of their own
    listeners.pop(0).close()
    eventually(lambda: alice.head("/chat/stream", params={"id": chat}).status_code == 200, within=3)
    for listener in listeners:
        listener.close()


@pytest.fixture(scope="module")
def few_streams(start):
    """A server where everybody may have two streams."""
    return start(STREAMS_PER_USER="2")
