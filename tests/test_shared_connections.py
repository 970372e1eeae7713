"""The upstream's connections are shared: the end of one prompt must not touch the connection of the next."""
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from tests.fake_openai import answers
from tests.server import eventually
from tests.wire import Wire, bearer

REPLY = answers.jsonly({"choices": [{"message": {"content": "hello"}}]})
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextlib.contextmanager
def transaction(address):
    """A transaction behind the server's back, on PostgreSQL: what it has changed waits for its end."""
    with contextlib.closing(psycopg2.connect(address)) as connection, connection:
        yield connection.cursor()


@pytest.mark.parametrize("end", ["the chat is deleted", "the caller leaves"])
def test_a_prompt_that_ends_late_leaves_the_connection_alone_that_another_has_taken_over(start, new_database, upstream, end):
    server = start(DB_ADDRESS=new_database("postgres"))
    alice = server.person("Alice")
    late, other = (alice.ask("/chat/create").json()["id"] for _ in range(2))
    go_on = [threading.Event(), threading.Event()]
    for event in go_on:
        upstream.script(event, REPLY)
    form = f"id={late}&prompt=late"
    with Wire(server) as wire, ThreadPoolExecutor(1) as somebody:
        wire.send(f"POST /chat/prompt HTTP/1.1\r\nHost: proxy\r\n{bearer(alice)}\r\nContent-Length: {len(form)}\r\n\r\n{form}".encode())
        upstream.question()
        connections = upstream.connections
        with transaction(server.database) as cursor:
            cursor.execute(f"DELETE FROM chats WHERE id = '{late}'" if "deleted" in end else f"SELECT 1 FROM chats WHERE id = '{late}' FOR UPDATE")
            go_on[0].set()
            eventually(lambda: server.rows(WAITING))  # it has its reply, and waits to write it down
            answer = somebody.submit(alice.ask, "/chat/prompt", id=other, prompt="hello")
            question = upstream.question(1)
            assert upstream.connections == connections  # it is the same one
            if "leaves" in end:
                wire.close()
                assert not question.gone.wait(1)
        if "deleted" in end:
            assert wire.head()[0] == 404
        go_on[1].set()
        assert answer.result().status_code == 200 and not question.gone.is_set()


def test_a_streamed_reply_to_a_chat_that_is_gone_leaves_no_fault_behind(start, new_database, upstream):
    server = start(DB_ADDRESS=new_database("sqlite"))
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    go_on = threading.Event()
    upstream.script(go_on, answers.events({"choices": [{"delta": {"content": "hello"}, "finish_reason": "stop"}]}))
    message = alice.ask("/chat/prompt", id=chat, prompt="hello", stream="true").json()["message"]
    upstream.question()
    alice.ask("/chat/delete", id=chat)
    go_on.set()
    event = server.event(message["id"])
    assert event["status"] == 200 and "Traceback" not in server.output()
