"""Who may no longer listen to a chat hears no more, whatever was lost on the way; who does not take what is said is let go."""
import os
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace

import pytest

from proxy_gpt import db
from proxy_gpt.chat import stream
from proxy_gpt.errors import NotFound
from proxy_gpt.pubsub.hub import Hub
from proxy_gpt.pubsub.subscriber import LEFT
from tests.redis_server import RedisServer
from tests.subscriber import EventSource, WebSocket


@pytest.mark.parametrize("kind", [EventSource, WebSocket])
def test_a_removal_that_redis_lost_is_noticed_before_anything_more_is_told(start, new_database, tmp_path, kind):
    redis = RedisServer(tmp_path)
    shared = {"DB_ADDRESS": new_database("sqlite"), "REDIS_ADDRESS": redis.url, "WEB_CONCURRENCY": "1"}
    one, other = start(**shared), start(**shared)
    alice, bob = one.person("Alice"), one.person("Bob")
    chat = alice.ask("/chat/create").json()["id"]
    alice.ask("/chat/user/add", chat_id=chat, user_id=bob.id)
    listener, stays = kind(bob, chat, url=other.url), kind(alice, chat, url=other.url)
    redis.stop()
    alice.ask("/chat/user/remove", chat_id=chat, user_id=bob.id)
    said = alice.ask("/chat/prompt", id=chat, prompt="he is gone", otr="true").json()["message"]
    redis.start()
    assert stays.next() == {"message": said, "partial": False}
    assert listener.closed.wait(5) and listener.heard == []
    stays.close()
    redis.stop()


@pytest.mark.parametrize("kind", [EventSource, WebSocket])
def test_a_stream_is_open_only_when_nothing_can_be_missed_any_more(start, tmp_path, kind):
    redis = RedisServer(tmp_path)
    alice = start(REDIS_ADDRESS=redis.url, WEB_CONCURRENCY="1").person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    os.kill(redis.process.pid, signal.SIGSTOP)  # it cannot confirm the subscription now
    with ThreadPoolExecutor(1) as somebody:
        opening = somebody.submit(kind, alice, chat)
        try:
            assert not wait([opening], timeout=0.5).done
        finally:
            os.kill(redis.process.pid, signal.SIGCONT)
        listener = opening.result()
    alice.ask("/chat/prompt", id=chat, prompt="hello", otr="true")
    assert listener.next()["message"]["prompt"] == "hello"
    listener.close()
    redis.stop()


def test_one_who_listens_to_a_busy_chat_is_looked_at_too(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "PING", 0)
    monkeypatch.setattr(stream, "CHECK", 0)
    db.bind(db.open_database(str(tmp_path / "proxy.db")))
    hub, forbidden = Hub(), []

    def still_allowed():
        if forbidden:
            raise NotFound("There is no such chat.", "id")

    listener = stream.Stream(hub, SimpleNamespace(id="chat"), SimpleNamespace(user_id="alice", digest="digest"), 0, still_allowed)
    events = listener.events()
    assert next(events) is None  # nobody has said anything yet
    hub.publish("chat", "- {}")
    assert next(events) == (0, "{}")
    forbidden.append(True)
    hub.publish("chat", "- {}")
    assert list(events) == [] and isinstance(listener.ended_by, NotFound)


@pytest.mark.parametrize("length, fit", [(10, 1000), (1 << 20, 16)])
def test_what_waits_for_a_slow_listener_is_bounded_in_number_and_in_size(length, fit):
    hub, dropped = Hub(), []
    slow = hub.subscribe("chat", "alice", "digest")
    slow.on_overflow = lambda: dropped.append(True)
    for _ in range(fit):
        hub.publish("chat", "x" * length)
    assert not dropped
    assert slow.next(0) and not hub.publish("chat", "x" * length) and not dropped  # one taken, one more fits
    for _ in range(3):
        hub.publish("chat", "x" * length)
    assert dropped == [True]
    items = [slow.next(0) for _ in range(fit + 3)]
    assert items == ["x" * length] * fit + [LEFT, None, None]


def test_a_message_fits_however_long_it_is():
    hub = Hub()
    listener = hub.subscribe("chat", "alice", "digest")
    hub.publish("chat", "x" * (20 << 20))
    assert len(listener.next(0)) == 20 << 20
