"""A database of an older version of the tables, with rows in it."""
import contextlib
import sqlite3
from pathlib import Path

import psycopg2

from proxy_gpt.rules.sessions import digest
from tests.server import query_database

VERSION_1 = Path(__file__).with_name("version_1.sql").read_text()
LONG_AGO, TOKEN = "2026-01-02T03:04:05.000006Z", "a token of then"
TABLES = ("users", "sessions", "teams", "team_members", "chats", "chat_users", "messages", "events")
ROWS = f"""
INSERT INTO users VALUES ('u1', '{LONG_AGO}', 'Alice', 'alice', 'none', 'Alice', '', '{LONG_AGO}'), ('u2', '{LONG_AGO}', 'Bob', 'bob', 'none', '', '', '{LONG_AGO}');
INSERT INTO sessions VALUES ('s1', '{LONG_AGO}', '{digest(TOKEN)}', 'u1', '2999-01-01T00:00:00.000000Z');
INSERT INTO teams VALUES ('t1', '{LONG_AGO}', 'ours', '', 'u1', '{LONG_AGO}');
INSERT INTO team_members VALUES ('m1', '{LONG_AGO}', 't1', 'u1'), ('m2', '{LONG_AGO}', 't1', 'u2');
INSERT INTO chats VALUES ('c1', '{LONG_AGO}', 'spain', 'gpt-3', '', 'u1', NULL, 2, '{LONG_AGO}'), ('c2', '{LONG_AGO}', 'ours', 'gpt-3', '', 'u1', 't1', 0, '{LONG_AGO}');
INSERT INTO chat_users VALUES ('cu1', '{LONG_AGO}', 'c1', 'u2');
INSERT INTO messages VALUES ('p1', '{LONG_AGO}', 'c1', 'u1', 'hello', 'hi', 'gpt-3', 'false', 'complete', '', 1, 1, 2);
INSERT INTO messages VALUES ('p2', '{LONG_AGO}', 'c1', NULL, 'you?', '', 'gpt-3', 'true', 'complete', '', 2, NULL, NULL);
INSERT INTO events VALUES ('e1', '{LONG_AGO}', 'request', '', 'u1', 'GET', '/v1/models', '', 200, 0.5, '', '', '', '', 'complete', NULL, NULL, NULL, NULL, NULL, '', 0, 9);
INSERT INTO events VALUES ('e2', '{LONG_AGO}', 'request', '', 'u1', 'POST', '/v1/chat/completions', '', 200, 0.5, '', '', '', 'gpt-4o', 'complete', 24, 68, 16, 8, NULL, '', 0, 9);
INSERT INTO events VALUES ('e3', '{LONG_AGO}', 'request', '', 'u1', 'POST', '/v1/audio/transcriptions', '', 200, 0.5, '', '', '', 'whisper-1', 'complete', NULL, NULL, NULL, NULL, 12, '', 0, 9);
INSERT INTO events VALUES ('e4', '{LONG_AGO}', 'request', '', 'u1', 'POST', '/v1/chat/completions', '', 200, 0.5, '', '', '', 'gpt-4o', 'complete', 1, 2, NULL, NULL, NULL, '', 0, 9);
INSERT INTO events VALUES ('e5', '{LONG_AGO}', 'request', '', 'u1', 'GET', '/v1/chat/completions/c', '', 200, 0.5, '', '', '', 'gpt-4o', 'complete', 24, 68, 16, 8, NULL, '', 0, 9);
INSERT INTO events VALUES ('e6', '{LONG_AGO}', 'admin', '', 'u1', '', 'proxy-admin create', 'username=alice', NULL, 0, '', '', 'Created', '', 'complete', NULL, NULL, NULL, NULL, NULL, '', 0, 0);
"""


def make(address):
    """Fill an empty database with the tables and rows of version 1."""
    if address.startswith("sqlite:///"):
        script = (VERSION_1 + ROWS).replace("BIGINT", "INTEGER").replace("BOOLEAN", "INTEGER").replace("'false'", "0").replace("'true'", "1")
        with contextlib.closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:
            connection.executescript(script)
    else:
        with contextlib.closing(psycopg2.connect(address)) as connection, connection:
            connection.cursor().execute(VERSION_1 + ROWS)


def rows(address):
    """All rows of the eight tables."""
    return {table: query_database(address, f"SELECT * FROM {table} ORDER BY id") for table in TABLES}


def shape(address):
    """The tables' columns and indexes, as the database tells them."""
    if address.startswith("sqlite:///"):
        columns = "SELECT m.name AS t, c.name, c.type, c.\"notnull\" FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        indexes = "SELECT tbl_name AS t, name, sql FROM sqlite_master WHERE type = 'index'"
    else:
        columns = "SELECT table_name AS t, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'public'"
        indexes = "SELECT tablename AS t, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    return {str(row) for query in (columns, indexes) for row in query_database(address, query)}
