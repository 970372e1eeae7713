"""/team/*: making, changing and deleting teams, who is in them, and what happens to their chats."""
import json

import pytest

from tests.server import error_of, execute_on_database
from tests.subscriber import EventSource, WebSocket


@pytest.fixture
def team(alice, bob):
    """A team of Alice's with Bob."""
    return create(alice, user_ids=bob.id)


def create(person, **fields):
    answer = person.ask("/team/create", **{"name": "team", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def read(person, team):
    return person.get("/team/read", params={"id": team["id"]}).json()["team"]


def members(person, team):
    return [user["username"] for user in person.get("/team/members", params={"id": team["id"]}).json()["users"]]


def chat_of(person, team):
    return person.ask("/chat/create", team_id=team["id"]).json()["id"]


def test_a_team_is_made_with_its_owner_as_the_first_member(newcomer):
    team = create(newcomer, name=" my team ", description=" an awesome\nteam ")
    assert set(team) == {"id", "name", "description", "owner_id", "created_at", "updated_at"}
    assert (team["name"], team["description"], team["owner_id"]) == ("my team", "an awesome\nteam", newcomer.id)
    assert team["updated_at"] == team["created_at"]
    assert read(newcomer, team) == team and members(newcomer, team) == [newcomer.name]
    other = create(newcomer, name="n" * 30, description="d" * 256)
    assert newcomer.get("/team/index").json() == {"teams": [team, other]}
    in_short = [{"id": each["id"], "name": each["name"]} for each in (team, other)]
    assert newcomer.get("/user/session").json()["user"]["teams"] == in_short


def test_a_change_leaves_what_it_does_not_name(alice, bob, team):
    for field in ("name", "description"):
        changed = alice.ask("/team/update", team_id=team["id"], **{field: f"new {field} 👩‍👧"}).json()["team"]
        assert changed == {**team, field: f"new {field} 👩‍👧", "updated_at": changed["updated_at"]}
        team = changed
    assert alice.post("/team/update", json={"id": team["id"], "name": None, "color": "blue"}).json() == {"team": team}
    assert alice.ask("/team/update", id=team["id"], description="").json()["team"]["description"] == ""
    assert members(bob, team) == ["Alice", "Bob"]


WAYS = {
    "a repeated field": lambda field, values, more: {"data": {**more, field: values}},
    "a comma-separated field": lambda field, values, more: {"data": {**more, field: ", ".join(values)}},
    "a JSON array": lambda field, values, more: {"json": {**more, field: values}},
    "a JSON text": lambda field, values, more: {"json": {**more, field: ",".join(values)}},
    "a JSON array under curl's default type": lambda field, values, more: {"data": json.dumps({**more, field: values})},
    "a multipart field": lambda field, values, more: {"files": [(field, (None, value)) for value in values], "params": more},
    "the query": lambda field, values, more: {"params": {**more, field: values}},
}


@pytest.mark.parametrize("way", WAYS)
def test_people_are_named_as_a_list_in_every_way(alice, bob, newcomer, way):
    for field, values in (("user_ids", [bob.id, newcomer.id]), ("usernames", ["BOB", newcomer.name])):

        def ask(path, **more):
            answer = alice.post(path, **WAYS[way](field, values, more))  # noqa: B023
            assert answer.status_code == 200, answer.text
            return answer.json()

        team = ask("/team/create", name="team")
        assert members(alice, team) == ["Alice", "Bob", newcomer.name]
        ask("/team/members/remove", team_id=team["id"])
        assert members(alice, team) == ["Alice"]
        for _ in range(2):  # the second time changes nothing
            ask("/team/members/add", id=team["id"])
            assert members(alice, team) == ["Alice", "Bob", newcomer.name]


def test_a_name_with_a_comma_goes_in_a_json_array(proxy, alice):
    person = proxy.person(f"O'Neil, Ann {alice.server.url[-3:]}")
    team = alice.post("/team/create", json={"name": "team", "usernames": [person.name]}).json()
    assert members(person, team) == ["Alice", person.name]


def test_all_or_nobody_is_let_in(alice, bob, newcomer, team):
    before = read(alice, team), members(alice, team), alice.get("/team/index").json()
    for field, good, bad in (("user_ids", newcomer.id, "user-1"), ("usernames", newcomer.name, "nobody"), ("user_id", bob.id, "x" * 10000)):
        for path in ("/team/create", "/team/members/add", "/team/members/remove"):
            error = error_of(alice.ask(path, name="new", team_id=team["id"], **{field: [good, bad]}), 400)
            assert error["param"] == field and f"'{bad[:50]}" in error["message"] and len(error["message"]) < 500
    for path in ("/team/members/add", "/team/members/remove"):
        assert error_of(alice.ask(path, team_id=team["id"]), 400)["param"] == "user_ids"
    assert error_of(alice.ask("/team/members/remove", team_id=team["id"], user_ids=[bob.id, alice.id]), 400)
    assert error_of(bob.ask("/team/members/remove", team_id=team["id"], user_ids=[bob.id, alice.id]), 403)
    assert (read(alice, team), members(alice, team), alice.get("/team/index").json()) == before


def test_a_member_may_leave_however_often_named(bob, team):
    assert bob.ask("/team/members/remove", team_id=team["id"], user_ids=bob.id, user_id=bob.id, usernames="bob").json() == {}
    assert error_of(bob.ask("/team/read", id=team["id"]), 404)


def test_a_team_has_at_most_a_thousand_members(newcomer, alice, crowd):
    team = newcomer.post("/team/create", json={"name": "crowd", "user_ids": crowd[:999]}).json()
    assert len(members(newcomer, team)) == 1000
    for people in ([alice.id], crowd, [str(number) for number in range(100_000)]):
        error = error_of(newcomer.post("/team/members/add", json={"team_id": team["id"], "user_ids": people}), 400)
        assert error["param"] == "user_ids" and "1000" in error["message"]
    assert len(members(newcomer, team)) == 1000
    assert newcomer.post("/team/members/add", json={"team_id": team["id"], "user_ids": crowd[:999]}).json() == {}


@pytest.mark.parametrize("kind", [EventSource, WebSocket])
def test_who_leaves_a_team_loses_its_chats_and_their_streams(alice, bob, newcomer, team, kind):
    alice.ask("/team/members/add", team_id=team["id"], user_id=newcomer.id)
    chats = [chat_of(person, team) for person in (alice, newcomer)]
    leaves, is_removed = kind(bob, chats[0]), kind(newcomer, chats[0])
    stays, of_his_own = kind(alice, chats[0]), kind(newcomer, chats[1])
    bob.ask("/team/members/remove", team_id=team["id"], user_id=bob.id)
    alice.ask("/team/members/remove", team_id=team["id"], user_ids=newcomer.id)
    for listener in (leaves, is_removed):
        assert listener.closed.wait(5) and listener.close_code in (4404, None)
    assert error_of(bob.ask("/chat/read", id=chats[0]), 404) and error_of(newcomer.ask("/chat/prompt", id=chats[0], prompt="x"), 404)
    assert chats[0] not in [chat["id"] for chat in newcomer.get("/chat/index").json()["chats"]]
    alice.ask("/chat/prompt", id=chats[0], prompt="still here", otr="true")
    newcomer.ask("/chat/prompt", id=chats[1], prompt="an owner stays", otr="true")
    assert [listener.next()["message"]["prompt"] for listener in (stays, of_his_own)] == ["still here", "an owner stays"]
    assert leaves.heard == is_removed.heard == []
    stays.close()
    of_his_own.close()


@pytest.mark.parametrize("kind", [EventSource, WebSocket])
def test_a_team_that_is_deleted_takes_its_chats_and_members_along_and_ends_their_streams(alice, bob, team, proxy, kind):
    chats = [chat_of(person, team) for person in (alice, bob)]
    plain = alice.ask("/chat/create").json()["id"]
    for chat in chats:
        bob.ask("/chat/prompt", id=chat, prompt="hello", otr="true")
    listeners = [kind(alice, chats[0]), kind(bob, chats[1])]
    assert alice.ask("/team/delete", id=team["id"]).json() == {}
    for listener in listeners:
        assert listener.closed.wait(5) and listener.close_code in (4404, None)
    for chat in chats:
        assert error_of(bob.ask("/chat/read", id=chat), 404)
        assert proxy.rows("SELECT id FROM messages WHERE chat_id = ?", chat) == []
    for table in ("chats", "team_members"):
        assert proxy.rows(f"SELECT id FROM {table} WHERE team_id = ?", team["id"]) == []
    assert error_of(alice.ask("/team/read", id=team["id"]), 404) and alice.ask("/chat/read", id=plain).status_code == 200


def test_people_who_share_a_team_see_each_others_names_and_no_longer(alice, newcomer, team):
    assert error_of(newcomer.ask("/user/read", id=alice.id), 404) and error_of(alice.ask("/user/read", id=newcomer.id), 404)
    alice.ask("/team/members/add", team_id=team["id"], user_id=newcomer.id)
    for viewer, seen in ((newcomer, alice), (alice, newcomer)):
        user = viewer.ask("/user/read", id=seen.id).json()["user"]
        assert set(user) == {"id", "username", "first_name", "last_name"} and user["username"] == seen.name
    newcomer.ask("/team/members/remove", id=team["id"], user_id=newcomer.id)
    assert error_of(newcomer.ask("/user/read", id=alice.id), 404) and error_of(alice.ask("/user/read", id=newcomer.id), 404)


MANY_CHATS = """
    WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 500)
    INSERT INTO chats (id, created_at, updated_at, name, model, system, user_id, team_id, revision)
    SELECT ? || n, '2024-01-01T00:00:00.000000Z', '2024-01-01T00:00:00.000000Z', 'x', '', '', ?, ?, 0 FROM counter
"""
A_MESSAGE_EACH = """
    INSERT INTO messages (id, created_at, chat_id, prompt, reply, model, otr, status, error)
    SELECT id, '2024-01-01T00:00:00.000000Z', id, 'x', '', '', ?, 'complete', '' FROM chats WHERE team_id = ?
"""


def test_a_team_with_many_chats_is_deleted_with_all_of_them(alice, proxy):
    team = create(alice)["id"]
    execute_on_database(proxy.database, MANY_CHATS, team[-12:], alice.id, team)
    execute_on_database(proxy.database, A_MESSAGE_EACH, False, team)
    assert alice.ask("/team/delete", id=team).json() == {}
    assert proxy.rows("SELECT id FROM chats WHERE team_id = ?", team) == []
    assert proxy.rows("SELECT id FROM messages WHERE id LIKE ?", f"{team[-12:]}%") == []
