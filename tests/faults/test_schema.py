"""The tables' versions: made or upgraded once, however many start at once, and no row is lost by it."""
import subprocess

import pytest
import requests

from proxy_gpt.migrations import NEWEST
from tests.admin import COMMAND, Admin
from tests.faults import old
from tests.server import execute_on_database, query_database
from tests.test_settings import one_sentence
from tests.test_start import refused

TOGETHER = 8


@pytest.mark.parametrize("before", ["empty", "of version 1"])
def test_eight_processes_that_start_at_once_make_or_upgrade_the_tables_once(database, tmp_path, before):
    if before == "of version 1":
        old.make(database)
    command = [COMMAND, "--database", database, "migrate"]
    # A second making or upgrading would fail: there is the table, or the column, already.
    processes = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(TOGETHER)]
    assert {process.communicate(timeout=60)[0] for process in processes} == {f"The tables are of version {NEWEST}.\n"}
    assert query_database(database, "SELECT version FROM schema_version") == [{"version": NEWEST}]
    done = query_database(database, "SELECT message FROM events WHERE endpoint = 'proxy-admin migrate'")
    assert len(done) == TOGETHER


def test_a_server_carries_an_old_database_forward_and_loses_no_row(start, database, upstream):
    old.make(database)
    before = old.rows(database)
    server = start(DB_ADDRESS=database)
    headers = {"Authorization": f"Bearer {old.TOKEN}"}
    chat = requests.get(f"{server.url}/chat/read?id=c1", headers=headers, timeout=10).json()
    assert [message["prompt"] for message in chat["messages"]] == ["hello", "you?"] and len(chat["users"]) == 2
    assert requests.get(f"{server.url}/v1/models", headers=headers, timeout=10).status_code == 200
    server.stop()
    after = old.rows(database)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert [row for row in rows if row not in kept] == [], table


def test_an_upgraded_database_is_like_a_new_one(backend, new_database, tmp_path):
    upgraded, new = new_database(backend), new_database(backend)
    old.make(upgraded)
    for address in (upgraded, new):
        Admin(tmp_path, address).ok("migrate")
    assert old.shape(upgraded) == old.shape(new)
    assert "The chain of 3 admin events is whole" in Admin(tmp_path, upgraded).ok("audit", "verify")  # with the one of then


def test_what_was_used_before_is_summed_up_without_a_price(database, tmp_path):
    old.make(database)
    Admin(tmp_path, database).ok("migrate")
    days = query_database(database, "SELECT * FROM usage_days ORDER BY model")
    assert [tuple(day.values()) for day in days] == [
        ("2026-01-02", "u1", "", "gpt-4o", 2, 25, 16, 70, 8, 0, 0, 0, 0, 2), ("2026-01-02", "u1", "", "whisper-1", 1, 0, 0, 0, 0, 12, 0, 0, 0, 1)
    ]  # fmt: skip
    assert [row["usage"] for row in query_database(database, "SELECT usage FROM events WHERE id LIKE ? ORDER BY id", "e_")] == ["", "exact", "exact", "exact", "", ""]


def test_a_program_older_than_the_tables_refuses_them_with_one_sentence(database, tmp_path):
    admin = Admin(tmp_path, database)
    admin.ok("migrate")
    execute_on_database(database, "UPDATE schema_version SET version = ?", NEWEST + 1)
    for sentence in (refused(tmp_path, DB_ADDRESS=database).strip(), admin.refused("list")):
        assert f"version {NEWEST + 1}" in one_sentence(sentence) and "newer" in sentence
