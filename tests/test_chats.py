"""/chat/*: making, changing, reading and deleting chats, and who takes part in them."""
import pytest

from tests.server import error_of, execute_on_database
from tests.subscriber import EventSource, WebSocket


@pytest.fixture
def chat(alice, bob):
    """A chat of Alice's with Bob."""
    chat = create(alice)
    assert alice.ask("/chat/user/add", chat_id=chat["id"], user_id=bob.id).json() == {}
    return read(alice, chat)["chat"]


def create(person, **fields):
    answer = person.ask("/chat/create", **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read(person, chat, **fields):
    return person.get("/chat/read", params={"id": chat["id"], **fields}).json()


def index(person, **fields):
    return [chat["id"] for chat in person.get("/chat/index", params=fields).json()["chats"]]


def say(person, chat, text):
    """Say something off the record; returns the message."""
    return person.ask("/chat/prompt", id=chat["id"], prompt=text, otr="true").json()["message"]


def people_in(chat, reader):
    return [user["username"] for user in read(reader, chat)["users"]]


def test_a_chat_made_without_a_word_is_general_and_of_the_first_model(alice):
    chat = create(alice)
    assert set(chat) == {"id", "name", "model", "system", "user_id", "team_id", "created_at", "updated_at"}
    assert (chat["name"], chat["model"], chat["system"]) == ("general", "gpt-3", "")
    assert (chat["user_id"], chat["team_id"]) == (alice.id, None)
    assert chat["created_at"].endswith("Z") and chat["updated_at"] == chat["created_at"]
    assert (read(alice, chat)["chat"], read(alice, chat)["messages"], people_in(chat, alice)) == (chat, [], ["Alice"])


LONGEST = {"name": "n" * 254, "model": "m" * 254, "system": "s" * 32768}


@pytest.mark.parametrize("fields", [
    {"name": "spain", "model": "gpt-4", "system": "Be brief.\nBe kind."}, LONGEST,
    {"name": "d'oh; DROP TABLE chats; --"}, {"name": "año 👩‍👩‍👧 نامه\u200cها"}, {"model": "o9-maxi"},
])  # fmt: skip
def test_a_chat_is_as_it_was_made_or_changed(alice, fields):
    made, changed = create(alice, **fields), create(alice)
    changed = alice.ask("/chat/update", id=changed["id"], **fields).json()["chat"]
    for chat in (made, changed):
        assert {name: chat[name] for name in fields} == fields
        assert read(alice, chat)["chat"] == chat


def test_a_change_leaves_what_it_does_not_name(alice, bob, chat):
    say(bob, chat, "hello")
    for field in ("name", "model", "system"):
        changed = alice.ask("/chat/update", chat_id=chat["id"], **{field: f" new {field} "}).json()["chat"]
        expected = f" new {field} " if field == "system" else f"new {field}"
        assert changed == {**chat, field: expected, "updated_at": changed["updated_at"]}
        chat = changed
    nothing = alice.post("/chat/update", json={"id": chat["id"], "name": None, "color": "blue"}).json()["chat"]
    assert nothing == {**chat, "updated_at": nothing["updated_at"]}
    assert alice.ask("/chat/update", id=chat["id"], system="").json()["chat"]["system"] == ""
    assert len(read(alice, chat)["messages"]) == 1 and people_in(chat, bob) == ["Alice", "Bob"]


@pytest.mark.parametrize("kind", [EventSource, WebSocket])
def test_a_chat_that_is_deleted_takes_its_messages_and_people_along_and_ends_its_streams(alice, bob, chat, proxy, kind):
    other = create(alice)
    for place in (chat, other):
        say(alice, place, "hello")
    listeners = [kind(person, chat["id"]) for person in (alice, bob)]
    assert alice.ask("/chat/delete", id=chat["id"]).json() == {}
    for listener in listeners:
        assert listener.closed.wait(5) and listener.close_code in (4404, None)
    for person in (alice, bob):
        assert error_of(person.ask("/chat/read", id=chat["id"]), 404)["message"] == "There is no such chat."
        assert chat["id"] not in index(person)
    assert proxy.rows("SELECT id FROM chats WHERE id = ?", chat["id"]) == []
    for table in ("messages", "chat_users"):
        assert proxy.rows(f"SELECT id FROM {table} WHERE chat_id = ?", chat["id"]) == []
    assert len(read(alice, other)["messages"]) == 1


def test_the_index_has_each_chat_once_and_the_last_active_first(newcomer, bob):
    team = bob.ask("/team/create", name="t", user_ids=newcomer.id).json()["id"]
    own, added, of_team = create(newcomer), create(bob), create(bob, team_id=team)
    both, in_every_way = create(bob, team_id=team), create(newcomer, team_id=team)
    for chat in (added, both):
        assert bob.ask("/chat/user/add", chat_id=chat["id"], user_id=newcomer.id).status_code == 200
    create(bob)
    for chat in (own, in_every_way, added, both, of_team):
        say(newcomer, chat, "hello")
    expected = [chat["id"] for chat in (of_team, both, added, in_every_way, own)]
    assert index(newcomer) == expected
    newcomer.ask("/chat/update", id=own["id"], name="busy")
    bob.ask("/chat/prompt", id=added["id"], prompt="hello", otr="true")
    assert index(newcomer)[:2] == [added["id"], own["id"]] and sorted(index(newcomer)) == sorted(expected)


def test_the_index_comes_in_pages(newcomer, alice):
    chats = [create(newcomer)["id"] for _ in range(3)]
    for _ in range(2):
        chats.append(create(alice)["id"])
        alice.ask("/chat/user/add", chat_id=chats[-1], user_id=newcomer.id)
    chats.reverse()
    assert index(newcomer, limit=2) == chats[:2]
    assert index(newcomer, limit=2, before=chats[1]) == chats[2:4]
    assert index(newcomer, limit=2, before=chats[3]) == chats[4:]
    assert index(newcomer, before=chats[4]) == []
    not_his = create(alice)["id"]
    for before in (not_his, "nothing"):
        assert error_of(newcomer.ask("/chat/index", before=before), 404)["param"] == "before"


def test_messages_come_in_pages_the_last_ones_first_each_page_oldest_first(alice, chat):
    sent = [say(alice, chat, f"m{number}")["id"] for number in range(5)]

    def page(**fields):
        return [message["id"] for message in read(alice, chat, **fields)["messages"]]

    assert page() == page(limit=1000) == sent
    assert page(limit=2) == sent[3:]
    assert page(limit=2, before=sent[3]) == sent[1:3]
    assert page(limit=2, before=sent[1]) == sent[:1]
    assert page(before=sent[0]) == []


@pytest.mark.parametrize("by", ["user_id", "username"])
def test_people_are_added_and_removed_by_id_or_by_name(alice, newcomer, by):
    chat = create(alice)
    person = {"user_id": newcomer.id, "username": f" {newcomer.name.upper()} "}[by]
    before = [chat]
    for path, expected in (("add", ["Alice", newcomer.name]), ("remove", ["Alice"])):
        for _ in range(2):
            assert alice.ask(f"/chat/user/{path}", chat_id=chat["id"], **{by: person}).json() == {}
            assert people_in(chat, alice) == expected
            before.append(read(alice, chat)["chat"])
    assert before[0] != before[1] == before[2] == before[3] == before[4]  # only the first made the chat active
    assert error_of(newcomer.ask("/chat/read", id=chat["id"]), 404)


def test_one_may_leave_and_the_owner_stays(alice, newcomer, chat):
    alice.ask("/chat/user/add", chat_id=chat["id"], user_id=newcomer.id)
    assert newcomer.ask("/chat/user/remove", chat_id=chat["id"], username=newcomer.name).json() == {}
    assert chat["id"] not in index(newcomer) and people_in(chat, alice) == ["Alice", "Bob"]
    error = error_of(alice.ask("/chat/user/remove", chat_id=chat["id"], user_id=alice.id), 400)
    assert "cannot be removed" in error["message"]


def test_who_was_added_to_a_team_chat_sees_the_chat_and_not_the_team(alice, bob, newcomer):
    team = alice.ask("/team/create", name="t", user_ids=bob.id).json()["id"]
    chat = create(alice, team_id=team)
    alice.ask("/chat/user/add", chat_id=chat["id"], user_id=newcomer.id)
    assert people_in(chat, newcomer) == ["Alice", "Bob", newcomer.name]
    assert error_of(newcomer.ask("/team/read", id=team), 404)
    assert alice.ask("/chat/user/remove", chat_id=chat["id"], user_id=newcomer.id).status_code == 200
    error = error_of(alice.ask("/chat/user/remove", chat_id=chat["id"], user_id=bob.id), 400)
    assert "Remove the user from the team instead." in error["message"]


@pytest.mark.parametrize("path", ["/chat/user/add", "/chat/user/remove"])
def test_a_user_who_is_not_there_is_named(alice, bob, chat, path):
    for field, value in (("user_id", "user-1"), ("user_id", ""), ("user_id", "Bob"), ("username", "nobody at all")):
        error = error_of(alice.ask(path, chat_id=chat["id"], **{field: value}), 400)
        assert error["param"] == field and f"'{value}'" in error["message"]
    assert error_of(alice.ask(path, chat_id=chat["id"]), 400)["param"] == "user_id"
    assert error_of(alice.ask(path, chat_id=chat["id"], username=""), 400)["param"] == "user_id"
    for other in ("user-1", "", alice.id):
        error = error_of(alice.ask(path, chat_id=chat["id"], user_id=other, username="bob"), 400)
        assert error["param"] == "user_id" and "'user_id'" in error["message"]
    assert alice.ask("/chat/user/add", chat_id=chat["id"], user_id=bob.id, username="bob").json() == {}
    assert people_in(chat, alice) == ["Alice", "Bob"]


def test_people_who_share_a_chat_see_each_others_names_and_no_longer(alice, newcomer, chat):
    assert error_of(newcomer.ask("/user/read", id=alice.id), 404) and error_of(alice.ask("/user/read", id=newcomer.id), 404)
    alice.ask("/chat/user/add", chat_id=chat["id"], user_id=newcomer.id)
    for viewer, seen in ((newcomer, alice), (alice, newcomer)):
        user = viewer.ask("/user/read", id=seen.id).json()["user"]
        assert user == {"id": seen.id, "username": seen.name, "first_name": user["first_name"], "last_name": user["last_name"]}
    newcomer.ask("/chat/user/remove", chat_id=chat["id"], user_id=newcomer.id)
    assert error_of(newcomer.ask("/user/read", id=alice.id), 404) and error_of(alice.ask("/user/read", id=newcomer.id), 404)


def test_a_chat_has_room_for_a_thousand(proxy, alice, newcomer, crowd):
    chat = create(newcomer)
    add = "INSERT INTO chat_users (id, created_at, chat_id, user_id) SELECT username, created_at, ?, id FROM users WHERE id BETWEEN ? AND ?"
    execute_on_database(proxy.database, add, chat["id"], crowd[0], crowd[-2])
    newcomer.ask("/chat/user/add", chat_id=chat["id"], user_id=crowd[-1])
    assert len(people_in(chat, newcomer)) == 1001
    error = error_of(newcomer.ask("/chat/user/add", chat_id=chat["id"], username=alice.name), 400)
    assert error["param"] == "user_id" and "1000" in error["message"]
    assert len(people_in(chat, newcomer)) == 1001
