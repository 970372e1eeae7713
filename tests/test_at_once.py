"""People who change the same chat or team at the same time: nobody gets a 5xx, and nothing is lost."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

ROUNDS = 6


@pytest.fixture
def chat(alice, bob):
    """A chat of Alice's with Bob."""
    return shared_chat(alice, bob)


def shared_chat(owner, other):
    chat = owner.ask("/chat/create").json()["id"]
    owner.ask("/chat/user/add", chat_id=chat, user_id=other.id)
    return chat


def at_once(*requests):
    """The statuses of requests, each (person, path, fields), that start together."""
    start = threading.Barrier(len(requests))

    def send(request):
        person, path, fields = request
        start.wait(10)
        return person.ask(path, **fields).status_code

    with ThreadPoolExecutor(len(requests)) as people:
        return list(people.map(send, requests))


def rows(proxy, table, **wanted):
    (column, value), = wanted.items()
    return proxy.rows(f"SELECT * FROM {table} WHERE {column} = ?", value)


def test_one_who_is_added_by_many_at_once_is_there_once(proxy, alice, newcomer, chat):
    team = alice.ask("/team/create", name="team").json()["id"]
    add_to_chat = (alice, "/chat/user/add", {"chat_id": chat, "user_id": newcomer.id})
    add_to_team = (alice, "/team/members/add", {"team_id": team, "user_ids": newcomer.id})
    assert at_once(*[add_to_chat, add_to_team] * 5) == [200] * 10
    assert [row["user_id"] for row in rows(proxy, "chat_users", chat_id=chat)].count(newcomer.id) == 1
    assert [row["user_id"] for row in rows(proxy, "team_members", team_id=team)].count(newcomer.id) == 1


def test_different_people_added_at_once_are_all_there(proxy, alice, crowd, chat):
    team = alice.ask("/team/create", name="team").json()["id"]
    people = crowd[:5]
    to_chat = [(alice, "/chat/user/add", {"chat_id": chat, "user_id": person}) for person in people]
    to_team = [(alice, "/team/members/add", {"team_id": team, "user_ids": person}) for person in people]
    assert at_once(*to_chat, *to_team) == [200] * 10
    assert {row["user_id"] for row in rows(proxy, "chat_users", chat_id=chat)} >= set(people)
    assert {row["user_id"] for row in rows(proxy, "team_members", team_id=team)} == {alice.id, *people}


def test_a_chat_that_is_deleted_while_others_use_it_is_gone_with_all_that_came_late(proxy, alice, bob, newcomer, upstream):
    for _ in range(ROUNDS):
        chat = shared_chat(alice, bob)
        delete, update, add, *others = at_once(
            (alice, "/chat/delete", {"id": chat}), (alice, "/chat/update", {"id": chat, "name": "new"}),
            (alice, "/chat/user/add", {"chat_id": chat, "user_id": newcomer.id}),
            (bob, "/chat/prompt", {"id": chat, "prompt": "hello"}), (bob, "/chat/prompt", {"id": chat, "prompt": "hello", "otr": "1"}),
            (bob, "/chat/prompt", {"id": chat, "prompt": "hello", "stream": "1"}), (bob, "/chat/user/remove", {"id": chat, "user_id": bob.id}),
            (bob, "/chat/read", {"id": chat}), (bob, "/chat/index", {}),
        )  # fmt: skip
        assert delete == 200 and {update, add, *others} <= {200, 404}
        assert rows(proxy, "chats", id=chat) == rows(proxy, "messages", chat_id=chat) == rows(proxy, "chat_users", chat_id=chat) == []


def test_a_team_that_is_deleted_while_others_use_it_is_gone_with_all_that_came_late(proxy, alice, bob, newcomer, upstream):
    for _ in range(ROUNDS):
        team = alice.ask("/team/create", name="team", user_ids=bob.id).json()["id"]
        chat = bob.ask("/chat/create", team_id=team).json()["id"]
        delete, *others = at_once(
            (alice, "/team/delete", {"id": team}), (alice, "/team/update", {"id": team, "name": "new"}),
            (alice, "/team/members/add", {"team_id": team, "user_ids": newcomer.id}), (bob, "/team/members/remove", {"id": team, "user_id": bob.id}),
            (bob, "/chat/create", {"team_id": team}), (alice, "/chat/create", {"team_id": team}),
            (bob, "/chat/user/add", {"chat_id": chat, "user_id": newcomer.id}), (alice, "/chat/prompt", {"id": chat, "prompt": "hello"}),
            (bob, "/chat/delete", {"id": chat}), (bob, "/team/members", {"id": team}),
        )  # fmt: skip
        assert delete == 200 and set(others) <= {200, 404}
        assert rows(proxy, "teams", id=team) == rows(proxy, "team_members", team_id=team) == rows(proxy, "chats", team_id=team) == []


def test_changes_while_prompts_are_answered_take_nothing_back(proxy, alice, bob, newcomer, chat, upstream):
    prompts = [(person, "/chat/prompt", {"id": chat, "prompt": f"p{number}"}) for number, person in enumerate([alice, bob, alice, bob])]
    changes = [
        (alice, "/chat/update", {"id": chat, "name": "new"}), (alice, "/chat/update", {"id": chat, "model": "gpt-4"}),
        (alice, "/chat/update", {"id": chat, "system": "Be brief."}), (alice, "/chat/user/add", {"id": chat, "user_id": newcomer.id}),
    ]  # fmt: skip
    revisions = [0]
    for _ in range(3):
        assert set(at_once(*prompts, *changes)) == {200}
        (row,) = rows(proxy, "chats", id=chat)
        assert (row["name"], row["model"], row["system"]) == ("new", "gpt-4", "Be brief.")
        revisions.append(row["revision"])
    assert revisions == [0, 4, 8, 12]
    kept = rows(proxy, "messages", chat_id=chat)
    assert sorted(message["revision"] for message in kept) == list(range(1, 13))
    assert sorted(message["prompt"] for message in kept) == sorted(f"p{number}" for number in range(4) for _ in range(3))
    assert {message["status"] for message in kept} == {"complete"}


def test_one_who_is_removed_while_asking_is_answered_or_refused_and_nothing_in_between(alice, bob, upstream):
    for _ in range(ROUNDS):
        chat = shared_chat(alice, bob)
        removed, *asked = at_once(
            (alice, "/chat/user/remove", {"id": chat, "user_id": bob.id}),
            *[(bob, "/chat/prompt", {"id": chat, "prompt": "hello", "otr": otr}) for otr in ("0", "1", "0", "1")],
        )
        assert removed == 200 and set(asked) <= {200, 404}
        kept = alice.ask("/chat/read", id=chat).json()["messages"]
        assert [message["status"] for message in kept] == ["complete"] * asked.count(200)
        assert bob.ask("/chat/prompt", id=chat, prompt="hello").status_code == 404


def test_only_one_of_two_deletes_finds_the_chat(alice, bob):
    for _ in range(ROUNDS):
        chat = shared_chat(alice, bob)
        assert sorted(at_once(*[(alice, "/chat/delete", {"id": chat})] * 2)) == [200, 404]
