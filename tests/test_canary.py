"""The canary itself: it finds a secret wherever one is planted, in whatever dress, and names the place without it."""
import base64
import shutil
import sqlite3
from contextlib import closing

import pytest

from proxy_gpt.rules import passwords, sessions
from tests import canary

HEARD, UNHEARD = ("Tok3n" * 9)[: canary.TOKEN], ("Un-heard_of" * 4)[: canary.TOKEN]  # the second one is known by its digest alone
SECRETS = {
    "the shared key": f"Authorization: Bearer {canary.KEY}", "a password": f"password={canary.PASSWORD.replace(' ', '%20')}",
    "a token": f"sess={HEARD}; Path=/", "a token within a word": f"x{HEARD}y", "a token in basic auth": base64.b64encode(f"Al:{HEARD}".encode()).decode(),
    "a token of a client that was not heard": f"'{UNHEARD}'", "what is kept of a token": sessions.digest(UNHEARD),
    "what is kept of a password": passwords.digest("pw"), "the seed's own password": "username=asim&password=bazbar",
}  # fmt: skip
NOTHING = f"{HEARD[:-1]} {UNHEARD[::-1]} [hidden] {'0' * 64} password token sess= " + "A" * 2000


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A function that puts a text into a log, a journal, a row and an answer, and returns where secrets are found."""
    monkeypatch.setattr(canary, "tokens", {HEARD})
    monkeypatch.setattr(canary, "kept", {})

    def put(text):
        (tmp_path / "server.log").write_text(f"started\n{text}\n")
        (tmp_path / "00000000").write_text(f'I["{text}"]\n')
        canary.keep("an answer", text)
        with closing(sqlite3.connect(tmp_path / "proxy.db")) as database, database:
            database.execute("CREATE TABLE sessions (id, digest)")
            database.execute("CREATE TABLE users (id, password_hash, first_name)")
            database.execute("INSERT INTO sessions VALUES (1, ?)", [sessions.digest(UNHEARD)])
            database.execute("INSERT INTO users VALUES (2, ?, ?)", [passwords.digest("pw"), text])
        return canary.leaks(tmp_path)

    yield put
    shutil.rmtree(tmp_path)  # or it would be found at the end of this run too


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_wherever_it_is(places, secret):
    found = places(f"2024-01-01 {SECRETS[secret]} 200")
    assert found == ["an answer", "line 1 of a journal (00000000)", "line 2 of a log (server.log)", "users.first_name of 2 (proxy.db)"]


def test_what_is_no_secret_is_not_taken_for_one(places):
    assert places(NOTHING) == []
