"""`proxy-admin` at the doors: whose sessions there are, ending them, and keeping a user out; felt within a second everywhere."""
import json
import threading
import time

import pytest

from proxy_gpt.ids import new_id
from proxy_gpt.rules.sessions import digest
from tests.admin import Admin
from tests.fake_openai import chunked, head
from tests.server import error_of, eventually, execute_on_database
from tests.subscriber import EventSource, WebSocket
from tests.test_admin import log_in, session
from tests.wire import seconds_until

SOON = 1.3  # seconds: one, and what this machine takes to tell


@pytest.fixture
def admin(tmp_path, proxy):
    """The command for the database of the server that runs, which knows nothing of it."""
    return Admin(tmp_path, proxy.database)


def sessions(admin, person):
    """A person's sessions, as the command lists them."""
    return json.loads(admin.ok("sessions", person.name, "--json"))


def test_sessions_are_listed_without_what_would_open_a_door(admin, proxy, newcomer):
    other = log_in(proxy, newcomer.name, newcomer.password).json()["token"]
    listed = sessions(admin, newcomer)
    assert [set(row) for row in listed] == [{"id", "created_at", "expires_at"}] * 2
    assert listed[0]["created_at"] < listed[1]["created_at"] < listed[0]["expires_at"]
    digests = [row["digest"] for row in admin.rows("SELECT digest FROM sessions WHERE user_id = ?", newcomer.id)]
    title, *lines = admin.ok("sessions", newcomer.id).splitlines()
    assert title.split() == ["ID", "CREATED", "EXPIRES"] and [line.split()[0] for line in lines] == [row["id"] for row in listed]
    for secret in (newcomer.token, other, *digests):
        assert secret not in "".join(admin.outputs)


def test_one_session_is_ended_and_the_other_goes_on(admin, proxy, newcomer):
    other = log_in(proxy, newcomer.name, newcomer.password).json()["token"]
    assert session(proxy, other).status_code == 200
    last = sessions(admin, newcomer)[-1]["id"]
    assert last in admin.ok("revoke", newcomer.name, "--session", last)
    eventually(lambda: session(proxy, other).status_code == 401, within=SOON)
    assert newcomer.get("/user/session").status_code == 200
    assert last in admin.refused("revoke", newcomer.name, "--session", last)


def test_a_session_is_ended_for_its_own_user_only(admin, newcomer, bob):
    (own,) = sessions(admin, newcomer)
    admin.refused("revoke", bob.name, "--session", own["id"])
    assert newcomer.get("/user/session").status_code == 200


def test_all_sessions_are_ended_and_the_password_stays_good(admin, proxy, newcomer):
    log_in(proxy, newcomer.name, newcomer.password)
    admin.ok("revoke", newcomer.name)
    eventually(lambda: newcomer.get("/user/session").status_code == 401, within=SOON)
    assert sessions(admin, newcomer) == []
    assert log_in(proxy, newcomer.name, newcomer.password).status_code == 200


def test_a_disabled_user_is_out_on_every_process_until_enabled(admin, proxy, newcomer, bob):
    assert newcomer.get("/user/session").status_code == newcomer.get("/user/session").status_code == 200
    admin.ok("disable", newcomer.name)
    begin = time.monotonic()
    assert json.loads(admin.ok("user", newcomer.name, "--json"))["disabled_at"]
    for path in ("/user/session", "/user/session", "/v1/models", "/v1/models"):  # at a pair of servers: once at each
        eventually(lambda path=path: newcomer.get(path).status_code == 401, within=SOON - (time.monotonic() - begin))
    assert bob.get("/user/session").status_code == 200
    assert error_of(log_in(proxy, newcomer.name, newcomer.password), 403)["code"] == "account_disabled"
    wrong = error_of(log_in(proxy, newcomer.name, "wrong"), 401)  # a stranger learns nothing
    assert wrong == error_of(log_in(proxy, "no such person", "wrong"), 401)
    admin.ok("disable", newcomer.name)
    admin.ok("enable", newcomer.name)
    assert json.loads(admin.ok("user", newcomer.name, "--json"))["disabled_at"] is None
    assert newcomer.get("/user/session").status_code == 401  # what was open before stays shut
    assert log_in(proxy, newcomer.name, newcomer.password).status_code == 200


def test_a_session_begun_while_its_user_is_disabled_is_worth_nothing(admin, proxy, newcomer):
    admin.ok("disable", newcomer.name)
    token = "of a login that had checked the password when the user was disabled"
    execute_on_database(
        proxy.database, "INSERT INTO sessions (id, digest, user_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        new_id(), digest(token), newcomer.id, "2020-01-01T00:00:00.000000Z", "2100-01-01T00:00:00.000000Z",
    )  # fmt: skip
    assert session(proxy, token).status_code == 401


@pytest.mark.parametrize("command", ["revoke", "disable"])
def test_who_listens_is_let_go_within_a_second(admin, proxy, newcomer, alice, command):
    chat = newcomer.ask("/chat/create").json()["id"]
    newcomer.ask("/chat/user/add", chat_id=chat, user_id=alice.id)
    listeners = [kind(newcomer, chat) for kind in (EventSource, WebSocket) for _ in range(2)]  # two at each of a pair
    stays = [kind(alice, chat) for kind in (EventSource, WebSocket)]
    admin.ok(command, newcomer.name)
    begin = time.monotonic()
    for listener in listeners:
        seconds_until(listener.closed, within=SOON - (time.monotonic() - begin))
    assert {listener.close_code for listener in listeners} == {None, 4401}
    said = alice.ask("/chat/prompt", id=chat, prompt="who is still here?", otr="true").json()["message"]
    for listener in stays:
        assert listener.next()["message"] == said
        listener.close()
    assert all(listener.heard == [] for listener in listeners)


def test_an_answer_that_streams_comes_to_its_end(admin, proxy, upstream, newcomer):
    go_on = threading.Event()
    upstream.script(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked") + chunked(b"data: one\n\n"), go_on,
                    chunked(b"data: [DONE]\n\n") + chunked(b""))  # fmt: skip
    with newcomer.post("/v1/chat/completions", json={"stream": True}, stream=True) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines) == b"data: one"
        admin.ok("disable", newcomer.name)
        eventually(lambda: session(proxy, newcomer.token).status_code == 401, within=SOON)
        go_on.set()
        assert [line for line in lines if line] == [b"data: [DONE]"]


def test_each_of_these_is_an_event(admin, newcomer):
    (own,) = sessions(admin, newcomer)
    for arguments in (("revoke", newcomer.name, "--session", own["id"]), ("disable", newcomer.name), ("enable", newcomer.name)):
        admin.ok(*arguments)
    events = [(event["endpoint"], event["user_id"]) for event in admin.events() if event["user_id"] == newcomer.id]
    assert events == [(f"proxy-admin {name}", newcomer.id) for name in ("sessions", "revoke", "disable", "enable")]


@pytest.mark.parametrize("command", ["sessions", "revoke", "disable", "enable"])
def test_somebody_who_is_not_there_is_named(tmp_path, sqlite_proxy, command):
    assert "'nobody at all'" in Admin(tmp_path, sqlite_proxy.database).refused(command, "nobody at all")
