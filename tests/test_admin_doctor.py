"""`proxy-admin doctor`: what is well, what is not and what to do; nothing is changed by it, and no secret shown."""
import json
import socket
from urllib.parse import urlsplit

import pytest

from proxy_gpt.migrations import NEWEST
from tests.admin import Admin
from tests.canary import KEY, MARK
from tests.fake_openai.answers import MODEL, error, jsonly
from tests.server import execute_on_database, query_database

GOOD = {"SIGNUP": "closed", "API_KEY": KEY, "MODELS": f"ours={MODEL}"}

SUBJECTS = ["settings", "settings", "prices", "journal", "open files", "database", "redis", "upstream", "models"]


@pytest.fixture
def look(tmp_path, upstream):
    """A function that runs it with these settings, in a folder of its own: (exit status, [(level, about, text)])."""
    (tmp_path / "proxy-journal").mkdir()
    admin = Admin(tmp_path)

    def run(**settings):
        done = admin.run("doctor", "--json", **{"API_URL": upstream.url, **GOOD, **settings})
        found = [tuple(finding.values()) for finding in json.loads(done.stdout)]
        assert done.stderr == "" and all(text.endswith(".") for _, _, text in found), done
        assert done.returncode == any(level == "problem" for level, _, _ in found)
        return done.returncode, found

    return run


def bad(found):
    """What is not well."""
    return [finding for finding in found if finding[0] != "ok"]


def one(found, about):
    """(level, text) of the only thing that is not well, which is about this."""
    assert [finding[1] for finding in bad(found)] == [about], found
    return next((level, text) for level, _, text in bad(found))


def test_where_all_is_well_it_says_so_line_by_line_and_leaves_an_event(look, database, redis_address, tmp_path, upstream):
    admin = Admin(tmp_path, database)
    admin.ok("migrate")
    status, found = look(DB_ADDRESS=database, REDIS_ADDRESS=redis_address)
    assert (status, bad(found)) == (0, [])
    assert [about for _, about, _ in found] == SUBJECTS
    assert admin.events()[-1]["endpoint"] == "proxy-admin doctor"
    assert [(question.method, question.target) for question in upstream.questions] == [("GET", "/v1/models")]
    lines = admin.ok("doctor", API_URL=upstream.url, **GOOD).splitlines()
    assert len(lines) == len(found) and lines[0] == "ok       settings: All settings can be used."
    assert lines[1] == "ok       settings: Sign-up: nobody (SIGNUP=closed)."


def test_it_makes_and_upgrades_nothing(look, database, tmp_path):
    status, found = look(DB_ADDRESS="sqlite:///none.db")
    assert status == 0 and one(found, "database")[0] == "warning" and not (tmp_path / "none.db").exists()
    Admin(tmp_path, database).ok("migrate")
    for version, level in ((NEWEST - 1, "warning"), (NEWEST + 1, "problem")):
        execute_on_database(database, "UPDATE schema_version SET version = ?", version)
        found = look(DB_ADDRESS=database)[1]
        assert one(found, "database")[0] == level and str(version) in one(found, "database")[1]
        assert query_database(database, "SELECT version FROM schema_version") == [{"version": version}]


def test_each_bad_setting_is_named_at_once_and_the_rest_is_looked_at(look, tmp_path, upstream):
    Admin(tmp_path, f"sqlite:///{tmp_path / 'proxy.db'}").ok("migrate")  # where the database is when no setting says so
    trace = "SELECT * FROM events WHERE endpoint = 'proxy-admin doctor'"
    status, found = look(PORT="x", DB_ADDRESS=f"postgres://u:{MARK}@h:0/d", API_KEY=f"sk {MARK}", SIGNUP="maybe", REDIS_ADDRESS="http://h", METRICS_TOKEN="short")
    problems = [text for level, about, text in found if (level, about) == ("problem", "settings")]
    assert status == 1 and {text.split()[0] for text in problems} == {"PORT", "DB_ADDRESS", "API_KEY", "SIGNUP", "REDIS_ADDRESS"}
    advice = " ".join(text for level, about, text in found if (level, about) == ("warning", "settings"))
    assert all(name in advice for name in ("API_KEY", "METRICS_TOKEN"))
    assert {about for _, about, _ in found} == {"settings", "prices", "journal", "open files"} and upstream.questions == []
    assert query_database(f"sqlite:///{tmp_path / 'proxy.db'}", trace) == []
    assert {about for _, about, _ in look(PORT="x")[1]} == set(SUBJECTS)
    (tmp_path / ".env").write_bytes(b"\xff")
    assert {about for _, about, _ in look()[1]} == {"settings", "prices", "journal", "open files"}


@pytest.mark.parametrize(("settings", "warned", "who"), [
    ({"SIGNUP": ""}, [], "programs on this machine only"), ({"SIGNUP": "invite"}, [], "nobody"), ({"SIGNUP": "open", "ADDRESS": "127.0.0.1:1"}, [], "everybody"),
    ({"SIGNUP": "open"}, ["SIGNUP", "PASSWORD_MIN_LENGTH"], "everybody"), ({"SIGNUP": "open", "ADDRESS": "[::ffff:127.0.0.1]:1"}, [], "everybody"),
])  # fmt: skip
def test_it_says_who_can_sign_up_and_warns_where_strangers_can(look, settings, warned, who):
    found = [(level, text) for level, about, text in look(**settings)[1] if about == "settings"]
    assert [text.split()[0] for level, text in found if level == "warning"] == warned
    assert [text for level, text in found if level == "ok"][-1].startswith(f"Sign-up: {who}")


def test_names_that_nearly_are_settings_are_told_and_no_database_is_guessed(look, tmp_path):
    (tmp_path / ".env").write_text(f"SINGUP={MARK}\nDB_ADRESS=sqlite:///{MARK}.db\n")
    (tmp_path / ".env").chmod(0o600)
    status, found = look(PORT="x", LOGIN_FAILURE=MARK)
    told = [(level, text) for level, about, text in found if about == "settings"]
    assert status == 1 and MARK not in str(found)
    assert ["SINGUP" in told[0][1], "DB_ADRESS" in told[1][1], "PORT" in told[2][1], "LOGIN_FAILURE" in told[3][1]] == [True] * 4
    assert [level for level, _ in told] == ["problem"] * 3 + ["warning"]
    assert "database" not in {about for _, about, _ in found}


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o644, True)])
def test_a_file_of_settings_that_others_can_read_is_a_warning(look, tmp_path, mode, warned):
    (tmp_path / ".env").write_text(f"METRICS_TOKEN=a-token-long-enough-{MARK}\n")
    (tmp_path / ".env").chmod(mode)
    told = [text for level, about, text in look()[1] if (level, about) == ("warning", "settings")]
    assert ["chmod 600 .env" in text for text in told] == [True] * warned and MARK not in str(told)


def test_an_admin_key_is_a_warning(look, postgres, tmp_path):
    address = postgres()
    Admin(tmp_path, address).ok("migrate")
    level, text = one(look(DB_ADDRESS=address, API_KEY=f"sk-admin-{MARK}")[1], "settings")
    assert level == "warning" and "project" in text and MARK not in text


def test_a_store_that_cannot_be_used_is_a_problem_that_tells_no_password(look, postgres, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = f"127.0.0.1:{silent.getsockname()[1]}"
    away = look(DB_ADDRESS=f"postgresql://u:{MARK}@{nowhere}/d", REDIS_ADDRESS=f"redis://:{MARK}@{nowhere}", WEB_CONCURRENCY="1")[1]
    assert {(level, about) for level, about, _ in bad(away)} == {("problem", "database"), ("problem", "redis")}
    (tmp_path / "text.db").write_text("This is no database, but it is long enough for one to be looked for in it. " * 20)
    assert one(look(DB_ADDRESS="sqlite:///text.db")[1], "database")[0] == "problem"
    journal = look(JOURNAL_DIR=__file__, DB_ADDRESS=postgres())[1]
    assert "journal" in {about for _, about, _ in bad(journal)}


def test_a_key_that_the_upstream_refuses_and_models_that_it_has_not_are_told(look, upstream, postgres, tmp_path):
    address = postgres()
    Admin(tmp_path, address).ok("migrate")
    upstream.script(error("401 Unauthorized", "Incorrect API key provided: hidden.", "invalid_api_key"))
    status, found = look(DB_ADDRESS=address)
    assert status == 1 and "API_KEY" in one(found, "upstream")[1] and "hidden" not in str(found)
    upstream.script(jsonly({"object": "list", "data": [{"id": "gpt-4o"}]}))
    level, text = one(look(DB_ADDRESS=address, MODELS="gpt-3=gpt-4o-mini,gpt-4=gpt-4o")[1], "models")
    assert level == "warning" and "'gpt-4o-mini'" in text and "'gpt-3'" in text and "'gpt-4'" not in text
    upstream.script(jsonly(["nonsense"], "Date: Thu, 01 Jan 2026 00:00:00 GMT"))
    assert {about for _, about, _ in bad(look(DB_ADDRESS=address)[1])} == {"models", "clock"}
    status, found = look(DB_ADDRESS=address, API_URL="http://127.0.0.1:1")
    assert status == 1 and "API_URL" in one(found, "upstream")[1]
    assert "prices" in {about for _, about, _ in bad(look(DB_ADDRESS=address, MODELS="ours=a-model-of-ours")[1])}


def test_a_database_that_can_be_read_and_not_written_is_a_problem(look, postgres, tmp_path):
    address = postgres()
    Admin(tmp_path, address).ok("migrate")
    execute_on_database(address, f"ALTER DATABASE {urlsplit(address).path.strip('/')} SET default_transaction_read_only = on")
    level, text = one(look(DB_ADDRESS=address)[1], "database")
    assert level == "problem" and "not written" in text
