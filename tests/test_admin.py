"""`proxy-admin`: what it prints, what it changes, and what it writes down."""
import json
import threading

import pytest
import requests

from tests.admin import Admin, listed
from tests.conftest import numbers
from tests.server import eventually, execute_on_database

PEOPLE = (("alice", "Alice", "Liddell"), ("Bob", "Robert", ""), ("charlie", "", "Chaplin"), ("zoë%_", "", ""))
KEYS = ["id", "username", "first_name", "last_name", "created_at", "updated_at", "disabled_at"]


@pytest.fixture
def admin(tmp_path, database):
    """The command for a fresh database, as yet without tables."""
    return Admin(tmp_path, database)


@pytest.fixture(scope="session")
def peopled(tmp_path_factory, new_database, backend):
    """The command for a database of four people, made with it; nobody changes them."""
    admin = Admin(tmp_path_factory.mktemp("admin"), new_database(backend))
    for username, first, last in PEOPLE:
        admin.ok("create", username, "pw c4n4ry", "--first-name", first, "--last-name", last)
    return admin


@pytest.fixture
def at_server(tmp_path, proxy):
    """The command for the database of the server that runs."""
    return Admin(tmp_path, proxy.database)


def test_the_list_has_everybody_in_order_and_aligned(peopled):
    title, *lines = peopled.ok("list").splitlines()
    assert title.split("  ")[0] == "ID" and title.split() == ["ID", "USERNAME", "FIRST", "NAME", "LAST", "NAME", "CREATED"]
    people = peopled.rows("SELECT id, username FROM users ORDER BY created_at")
    assert [line.split()[:2] for line in lines] == [[person["id"], person["username"]] for person in people]
    for title_of_column, value in (("USERNAME", "alice"), ("FIRST NAME", "Alice"), ("LAST NAME", "Liddell"), ("CREATED", "20")):
        assert lines[0][title.index(title_of_column) :].startswith(value)
    assert {len(line) for line in lines} == {title.index("CREATED") + len("2026-01-01T00:00:00.000000Z")}


def test_the_list_as_json_is_one_array_of_users(peopled):
    users = json.loads(peopled.ok("list", "--json"))
    assert [list(user) for user in users] == [KEYS] * 4
    assert [(user["username"], user["first_name"], user["last_name"]) for user in users] == list(PEOPLE)
    assert all(user["created_at"].endswith("Z") for user in users)
    assert json.loads(peopled.ok("list", "--json", "--search", "nobody")) == []


def test_the_list_comes_in_pages(peopled):
    first = json.loads(peopled.ok("list", "--json", "--limit", "3"))
    assert [user["username"] for user in first] == ["alice", "Bob", "charlie"]
    assert listed(peopled, "--limit", "3", "--after", first[-1]["id"]) == ["zoë%_"]
    assert listed(peopled, "--after", first[0]["id"], "--limit", "1") == ["Bob"]
    done = peopled.run("list", "--limit", "3")
    assert done.returncode == 0 and first[-1]["id"] in done.stderr and len(done.stdout.splitlines()) == 4
    assert peopled.run("list", "--limit", "4").stderr == ""


@pytest.mark.parametrize(("text", "found"), [
    ("LI", ["alice", "charlie"]), ("robert", ["Bob"]), ("chaplin", ["charlie"]), ("ZOË", ["zoë%_"]), ("%", ["zoë%_"]),
    ("_", ["zoë%_"]), ("' OR 1=1", []), ("", ["alice", "Bob", "charlie", "zoë%_"]),
])  # fmt: skip
def test_searching_finds_names_whatever_their_case_and_no_wildcards(peopled, text, found):
    assert listed(peopled, "--search", text) == found


def test_a_user_is_shown_by_id_and_by_name(peopled):
    user = json.loads(peopled.ok("user", "ALICE", "--json"))
    assert list(user) == [*KEYS, "capture", "teams", "limits"] and (user["capture"], user["teams"], user["limits"]) == ("default", [], [])
    assert json.loads(peopled.ok("user", user["id"], "--json")) == user
    lines = peopled.ok("user", "alice").splitlines()
    assert lines[:4] == [f"id           {user['id']}", "username     alice", "first name   Alice", "last name    Liddell"]


def test_a_name_that_is_somebody_elses_id_does_not_stand_for_that_user(admin):
    admin.ok("create", "alice", "pw c4n4ry")
    alice = json.loads(admin.ok("user", "alice", "--json"))["id"]
    admin.ok("create", alice, "pw c4n4ry")
    assert json.loads(admin.ok("user", alice, "--json"))["username"] == "alice"
    before = admin.rows("SELECT * FROM users WHERE id = ?", alice)
    admin.ok("reset", alice, "new")  # takes names alone
    assert admin.rows("SELECT * FROM users WHERE id = ?", alice) == before


def test_teams_are_shown_with_the_user(admin):
    admin.ok("create", "alice", "pw c4n4ry")
    for statement in (
        "INSERT INTO teams (id, name, description, owner_id, created_at, updated_at) SELECT 't', 'red\x1b', '', id, created_at, created_at FROM users",
        "INSERT INTO team_members (id, team_id, user_id, created_at) SELECT 'm', 't', id, created_at FROM users",
    ):
        execute_on_database(admin.database, statement)
    assert json.loads(admin.ok("user", "alice", "--json"))["teams"] == [{"id": "t", "name": "red\x1b", "limits": []}]
    assert "teams        red\\x1b (t)\n" in admin.ok("user", "alice")


def test_what_could_play_tricks_on_a_terminal_is_shown_as_text(admin):
    admin.ok("create", "alice", "pw c4n4ry")
    trick = "\x1b[31m\x07\x9b1m\u202e"
    execute_on_database(admin.database, "UPDATE users SET first_name = ?", trick)
    for output in (admin.ok("list"), admin.ok("user", "alice"), admin.ok("user", "alice", "--json"), admin.refused("user", trick)):
        assert not set(trick) & set("\x1b\x07\x9b\u202e") & set(output) and "1b" in output
    assert json.loads(admin.ok("user", "alice", "--json"))["first_name"] == trick


def test_a_terminal_that_cannot_show_a_name_gets_it_in_another_spelling(peopled, admin):
    admin.ok("create", "中", "pw c4n4ry")
    assert "\\u4e2d" in admin.ok("user", "中", PYTHONIOENCODING="latin-1")


def test_a_user_who_was_created_can_log_in(at_server, proxy):
    for way, name in (("argument", f"made {next(numbers)}"), ("stdin", f"made {next(numbers)}")):
        if way == "argument":
            said = at_server.ok("create", name, "pässword c4n4ry", "--first-name", "A")
        else:
            said = at_server.ok("create", name, "--password-stdin", stdin="pässword c4n4ry\n")
        user = log_in(proxy, name, "pässword c4n4ry").json()["user"]
        assert name in said and user["id"] in said and user["first_name"] == ("A" if way == "argument" else "")


def test_a_new_password_ends_all_sessions_and_logs_in(at_server, proxy, newcomer, bob):
    other = log_in(proxy, newcomer.name, newcomer.password).json()["token"]
    assert newcomer.get("/user/session").status_code == 200
    assert newcomer.name in at_server.ok("reset", newcomer.name.upper(), "another one c4n4ry")
    for token in (newcomer.token, other):
        eventually(lambda token=token: session(proxy, token).status_code == 401, within=1)
    assert bob.get("/user/session").status_code == 200
    assert log_in(proxy, newcomer.name, newcomer.password).status_code == 401
    assert log_in(proxy, newcomer.name, "another one c4n4ry").status_code == 200


def test_the_password_is_asked_for_twice_and_not_shown(at_server, proxy, newcomer):
    terminal = at_server.at_a_terminal("reset", newcomer.name)
    for question, line in (
        ("Password: ", "typed well c4n4ry"), ("Repeat for confirmation: ", "typed badly"),
        ("Password: ", "typed well c4n4ry"), ("Repeat for confirmation: ", "typed well c4n4ry"),
    ):  # fmt: skip
        terminal.answer(question, line)
    status, shown = terminal.end()
    assert status == 0 and newcomer.name in shown and "typed" not in shown
    assert log_in(proxy, newcomer.name, "typed well c4n4ry").status_code == 200


@pytest.mark.parametrize("line", ["new\r\n", "new\nsecond line\n"])
def test_a_password_by_stdin_is_the_first_line(at_server, proxy, newcomer, line):
    at_server.ok("reset", newcomer.name, "--password-stdin", stdin=line)
    assert log_in(proxy, newcomer.name, "new").status_code == 200


def log_in(proxy, name, password):
    return requests.post(f"{proxy.url}/user/login", data={"username": name, "password": password}, timeout=5)


def session(proxy, token):
    return requests.get(f"{proxy.url}/user/session", headers={"Authorization": f"Bearer {token}"}, timeout=5)


def test_it_works_beside_a_server_that_is_busy_with_the_same_database(at_server, proxy, alice):
    over = threading.Event()
    answers = []

    def keep_busy():
        while not over.is_set():
            answers.append(log_in(proxy, f"nobody {next(numbers)}", "pw c4n4ry").status_code)
            answers.append(alice.ask("/user/update", first_name="Alice").status_code)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        names = [f"beside {next(numbers)}" for _ in range(3)]
        for name in names:
            at_server.ok("create", name, "pw c4n4ry")
            at_server.ok("reset", name, "pw2 c4n4ry")
    finally:
        over.set()
        busy.join()
    assert set(answers) == {401, 200} and len(answers) > 10
    assert log_in(proxy, names[-1], "pw2 c4n4ry").status_code == 200


def test_every_action_is_an_event(admin):
    admin.ok("create", "Bob", "first secret c4n4ry")
    bob = admin.rows("SELECT id FROM users")[0]["id"]
    admin.ok("reset", "BOB", "--password-stdin", stdin="second secret c4n4ry")
    admin.ok("list", "--search", "b")
    admin.ok("user", "bob")
    admin.refused("reset", "nobody", "third secret c4n4ry")
    events = admin.events()
    assert [(event["endpoint"], event["user_id"], event["outcome"]) for event in events] == [
        ("proxy-admin create", bob, "complete"), ("proxy-admin reset", bob, "complete"), ("proxy-admin list", None, "complete"),
        ("proxy-admin user", bob, "complete"), ("proxy-admin reset", None, "refused"),
    ]  # fmt: skip
    assert all("'Bob'" in event["message"] for event in events if event["user_id"])
    assert "'nobody'" in events[-1]["message"] and events[-1]["params"] == "username=nobody" and "search=b" in events[2]["params"]
    assert {event["client_ip"] for event in events} == {""} and {event["kind"] for event in events} == {"admin"}
    assert "secret" not in str(events)


def test_a_change_that_fails_leaves_neither_event_nor_half_of_it(admin):
    admin.ok("create", "alice", "pw c4n4ry")
    if admin.database.startswith("sqlite"):
        refuse = "CREATE TRIGGER frozen BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'scrypt: no'); END"
    else:
        refuse = "ALTER TABLE users ADD CONSTRAINT frozen CHECK (updated_at = created_at) NOT VALID"
    execute_on_database(admin.database, refuse)
    before = admin.rows("SELECT * FROM users"), admin.events()
    assert "The database does not take this" in admin.refused("reset", "alice", "new")
    assert (admin.rows("SELECT * FROM users"), admin.events()) == before


def test_nothing_secret_is_ever_printed(at_server, proxy):
    person = proxy.person(f"Secretive {next(numbers)}", "the old secret c4n4ry")
    at_server.ok("user", person.name)
    at_server.ok("user", person.id, "--json")
    at_server.run("list", "--limit", "10000")
    at_server.ok("list", "--limit", "10000", "--json")
    secrets = [person.token, "the old secret c4n4ry", "the new secret c4n4ry", "scrypt", "digest", "password_hash"]
    for query in ("SELECT password_hash AS secret FROM users", "SELECT digest AS secret FROM sessions"):
        secrets += [row["secret"] for row in proxy.rows(query)]
    at_server.ok("reset", person.name, "the new secret c4n4ry")
    at_server.refused("create", person.name, "the new secret c4n4ry")
    at_server.wrong("reset", person.name, "the new secret c4n4ry", "--password-stdin")
    secrets += [row["password_hash"] for row in proxy.rows("SELECT password_hash FROM users WHERE id = ?", person.id)]
    secrets = [secret for secret in secrets if secret]  # the crowd of other tests has no passwords
    printed = "".join(at_server.outputs)
    assert person.name in printed
    assert [secret for secret in secrets if secret in printed] == []


@pytest.mark.parametrize(("arguments", "words"), [
    (("user", "nobody"), "'nobody'"), (("reset", "nobody", "pw c4n4ry"), "'nobody'"), (("create", "ALICE", "pw c4n4ry"), "'ALICE' is taken"),
])  # fmt: skip
def test_who_is_not_there_or_there_already_is_named(peopled, arguments, words):
    before = peopled.rows("SELECT * FROM users")
    assert words in peopled.refused(*arguments)
    assert peopled.rows("SELECT * FROM users") == before


def test_the_settings_of_the_server_are_used_and_only_the_needed_ones(tmp_path, peopled):
    admin = Admin(tmp_path)
    (tmp_path / ".env").write_text(f"DB_ADDRESS={peopled.database}\nAPI_URL=nonsense\nWEB_CONCURRENCY=9\nPORT=x\n")
    assert listed(admin, "--search", "alice") == ["alice"]
    assert "DB_ADDRESS must" in admin.refused("list", DB_ADDRESS="wrong")
    assert json.loads(admin.ok("list", "--json", "--search", "alice", DB_ADDRESS=" "))  # a blank value is none
    (tmp_path / ".env").write_text("SINGUP=closed\nDATABASE_URL=wrong\n")
    assert "DATABASE_URL must" in admin.refused("list")
    (tmp_path / ".env").write_text(f"DB_ADRESS={peopled.database}\n")
    assert "'DB_ADRESS'" in admin.refused("list") and peopled.database not in "".join(admin.outputs)
    (tmp_path / ".env").write_text("SINGUP=closed\n")
    for name in ("DB_ADDRESS", "DATABASE_URL"):
        assert json.loads(admin.ok("list", "--json", "--limit", "1", **{name: peopled.database}))[0]["username"] == "alice"
