"""`proxy-admin` about chats: what it shows, and that a deleted message is gone from everywhere."""
import json

import pytest

from tests.admin import Admin


@pytest.fixture
def admin(tmp_path, proxy):
    """The command for the database of the server that runs."""
    return Admin(tmp_path, proxy.database)


@pytest.fixture
def chat(alice, bob, upstream):
    """A chat of Alice's with Bob, of three messages."""
    chat = alice.ask("/chat/create", name="spain", system="Be brief.").json()
    alice.ask("/chat/user/add", chat_id=chat["id"], user_id=bob.id)
    for number in range(3):
        (alice, bob)[number % 2].ask("/chat/prompt", id=chat["id"], prompt=f"p{number}")
    return chat


def read(person, chat):
    return person.get("/chat/read", params={"id": chat["id"]}).json()


def test_a_chat_is_shown_as_its_participants_see_it(admin, alice, chat):
    assert json.loads(admin.ok("chat", chat["id"], "--json")) == read(alice, chat)["chat"]
    lines = [line.split(maxsplit=1) for line in admin.ok("chat", chat["id"]).splitlines()]
    assert lines[:2] == [["id", chat["id"]], ["name", "spain"]] and ["system", "Be brief."] in lines and ["user", f"id     {alice.id}"] in lines


def test_the_users_of_a_chat_are_listed(admin, alice, bob, chat):
    users = json.loads(admin.ok("chat-users", chat["id"], "--json"))
    assert [user["username"] for user in users] == ["Alice", "Bob"]
    title, *lines = admin.ok("chat-users", chat["id"]).splitlines()
    assert title.startswith("ID") and [line.split()[0] for line in lines] == [alice.id, bob.id]


def test_messages_are_listed_in_pages_oldest_first(admin, alice, chat):
    said = json.loads(admin.ok("messages", chat["id"], "--json"))
    assert [(row["prompt"], row["reply"]) for row in said] == [(f"p{n}", f"You said: p{n}") for n in range(3)]
    assert [row["id"] for row in said] == [row["id"] for row in read(alice, chat)["messages"]]
    assert (said[0]["input_tokens"], said[0]["status"], said[0]["otr"]) == (24, "complete", False)
    done = admin.run("messages", chat["id"], "--limit", "2")
    assert said[1]["id"] in done.stderr and "p0" not in done.stdout and "You said: p2" in done.stdout
    assert json.loads(admin.ok("messages", chat["id"], "--json", "--before", said[1]["id"])) == said[:1]


def test_long_messages_are_cut_in_the_table_and_whole_in_json(admin, alice, chat):
    alice.ask("/chat/prompt", id=chat["id"], prompt="long\n" * 100, otr="true")
    assert max(map(len, admin.ok("messages", chat["id"]).splitlines())) < 250
    assert json.loads(admin.ok("messages", chat["id"], "--json"))[-1]["prompt"] == "long\n" * 100


def test_a_deleted_message_is_gone_from_the_chat_and_from_the_context(admin, alice, chat, upstream):
    first, second, third = read(alice, chat)["messages"]
    assert second["id"] in admin.ok("delete-message", second["id"])
    assert read(alice, chat)["messages"] == [first, third]
    upstream.forget()
    alice.ask("/chat/prompt", id=chat["id"], prompt="and now?")
    asked = [message["content"] for message in json.loads(upstream.question().body)["messages"]]
    assert asked == ["Be brief.", "p0", "You said: p0", "p2", "You said: p2", "and now?"]


@pytest.mark.parametrize("command", ["chat", "chat-users", "messages", "delete-message"])
def test_what_is_not_there_is_said_in_one_sentence(admin, command):
    assert admin.refused(command, "nothing").startswith("There is no ")


@pytest.mark.parametrize("command", ["chat", "chat-users", "messages", "delete-message"])
def test_each_action_is_an_event(admin, chat, alice, command):
    identity = read(alice, chat)["messages"][0]["id"] if command == "delete-message" else chat["id"]
    admin.ok(command, identity)
    event = admin.events()[-1]
    assert (event["endpoint"], event["outcome"]) == (f"proxy-admin {command}", "complete")
    assert identity in event["params"] and identity in event["message"]
