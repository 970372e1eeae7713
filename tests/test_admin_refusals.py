"""`proxy-admin`: how it says no, and what it does without."""
import socket
import time

import pytest

from tests.admin import Admin, listed


@pytest.fixture(scope="session")
def alone(tmp_path_factory, new_database):
    """The command for a SQLite file with Alice, for what no database is asked about."""
    admin = Admin(tmp_path_factory.mktemp("admin"), new_database("sqlite"))
    admin.ok("create", "alice", "pw c4n4ry")
    return admin


def test_leaving_the_prompt_changes_nothing(alone):
    before = alone.rows("SELECT * FROM users")
    terminal = alone.at_a_terminal("reset", "alice")
    terminal.answer("Password: ", "\x03")
    assert terminal.end()[0] == 1
    assert alone.rows("SELECT * FROM users") == before


@pytest.mark.parametrize(("arguments", "words"), [
    (("create", " ", "pw c4n4ry"), "'username'"), (("create", "a\nb", "pw c4n4ry"), "'username'"), (("create", "new", ""), "'password'"),
    (("create", "new", "p" * 1025), "'password'"), (("create", "new", "pw c4n4ry", "--first-name", "x" * 255), "'first_name'"),
    (("reset", "alice", ""), "'password'"), (("reset", "alice", b"\xff"), "'password'"), (("user", b"\xff"), "'user'"),
    (("list", "--search", b"\xff"), "'search'"),
])  # fmt: skip
def test_what_is_refused_says_so_and_changes_nothing(alone, arguments, words):
    before = alone.rows("SELECT * FROM users")
    assert words in alone.refused(*arguments)
    assert alone.rows("SELECT * FROM users") == before


@pytest.mark.parametrize("stdin", ["", "p" * 1025, "a\0b\n", "\udcff\n"])
def test_a_bad_password_by_stdin_is_refused(alone, stdin):
    before = alone.rows("SELECT * FROM users")
    assert "'password'" in alone.refused("reset", "alice", "--password-stdin", stdin=stdin)
    assert alone.rows("SELECT * FROM users") == before


@pytest.mark.parametrize("arguments", [
    (), ("nothing",), ("user",), ("create",), ("user", "a", "b"), ("list", "--limit", "0"), ("list", "--limit", "x"), ("list", "--wrong"),
    ("reset", "alice"), ("reset", "alice", "pw c4n4ry", "--password-stdin"),
])  # fmt: skip
def test_a_wrong_call_exits_with_2_and_shows_how(tmp_path, arguments):
    assert "Usage: proxy-admin" in Admin(tmp_path).wrong(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("user", "alice"), ("reset", "alice", "pw c4n4ry")])
def test_a_sqlite_file_that_is_not_there_is_named_and_not_made(tmp_path, arguments):
    assert "'proxy.db'" in Admin(tmp_path).refused(*arguments)
    assert f"'{tmp_path / 'other.db'}'" in Admin(tmp_path, f"sqlite:///{tmp_path / 'other.db'}").refused(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_creating_a_user_may_make_the_sqlite_file(tmp_path):
    admin = Admin(tmp_path)
    admin.ok("create", "alice", "pw c4n4ry")
    assert listed(admin) == ["alice"]
    assert [path.name for path in tmp_path.iterdir()] == ["proxy.db"]


def test_a_sqlite_file_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "text").write_text("This is no database. " * 100)
    for path in ("text", ".", "missing/proxy.db"):
        assert "database" in Admin(tmp_path, f"sqlite:///{path}").refused("create", "alice", "pw c4n4ry")
    assert (tmp_path / "text").read_text() == "This is no database. " * 100


@pytest.mark.parametrize("address", ["proxy.db", "mysql://u:hidden@h/d", "postgresql://u:hidden@h:0/d", "sqlite:///", "http://[hidden"])
def test_a_bad_address_is_refused_without_showing_it(tmp_path, address):
    said = Admin(tmp_path, address).refused("list")
    assert said.startswith("--database must ") and "hidden" not in said
    said = Admin(tmp_path).refused("list", DB_ADDRESS=address)
    assert said.startswith("DB_ADDRESS must ") and "hidden" not in said


def test_a_postgresql_that_cannot_be_reached_is_a_sentence_in_bounded_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin = time.monotonic()
        said = Admin(tmp_path, f"postgresql://alice:hidden@127.0.0.1:{port}/proxy").refused("list")
        assert 3 < time.monotonic() - begin < 10
    for address in (f"127.0.0.1:{port}/proxy", "127.0.0.1:1/proxy?wrong=hidden", "no-such-host.invalid/proxy"):
        said += Admin(tmp_path, f"postgresql://alice:hidden@{address}").refused("reset", "alice", "pw c4n4ry")
    assert "The database cannot be opened" in said and "hidden" not in said


def test_an_empty_address_is_not_the_settings_one(tmp_path):
    assert Admin(tmp_path).refused("--database", "", "list").startswith("--database must ")


def test_an_env_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"DB_ADDRESS=\xff")
    assert ".env" in Admin(tmp_path).refused("list")


def test_a_new_password_has_the_least_length_of_the_settings(alone):
    before = alone.rows("SELECT * FROM users")
    for arguments in (("create", "new", "1234567"), ("reset", "alice", "1234567")):
        assert "8 to 1024" in alone.refused(*arguments, PASSWORD_MIN_LENGTH="8")
        assert "PASSWORD_MIN_LENGTH must" in alone.refused(*arguments, PASSWORD_MIN_LENGTH="x")
    assert alone.rows("SELECT * FROM users") == before
    assert listed(alone, "--limit", "1") == ["alice"]
    assert alone.run("list", PASSWORD_MIN_LENGTH="x").returncode == 0


def test_help_is_there_for_every_command(tmp_path):
    admin = Admin(tmp_path)
    for arguments in ((), ("list",), ("user",), ("create",), ("reset",)):
        assert "Usage: proxy-admin" in admin.ok(*arguments, "--help", DB_ADDRESS="nonsense")
