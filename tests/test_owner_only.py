"""What the proxy keeps on disk is readable by its owner only, from the first moment on and whatever the umask is."""
import os
import stat
import subprocess

import pytest

from proxy_gpt import db, owner_only
from tests.admin import Admin
from tests.server import BIN, execute_on_database

UMASKS = ("000", "022", "077")


def modes(*paths):
    """{name: rights in octal} of these and all that is below."""
    found = [path for top in paths for path in (top, *top.rglob("*"))]
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in found}


def right(path):
    """What a file or folder should have."""
    return oct(0o700 if path.is_dir() else 0o600)


def assert_private(*paths):
    """Fail unless these, and all that is below, are their owner's alone."""
    assert modes(*paths) == {path.name: right(path) for top in paths for path in (top, *top.rglob("*"))}


def with_umask(umask, program):
    """The command of a program that starts with this umask."""
    return ("sh", "-c", f'umask {umask} && exec {BIN / program} "$@"', "sh")


def kept(folder):
    """What a server in this folder keeps on disk."""
    return [folder / name for name in ("proxy.db", "proxy.db-wal", "proxy.db-shm", "proxy-journal")]


@pytest.mark.parametrize("umask", UMASKS)
def test_what_a_server_makes_is_its_owners_alone(start, upstream, tmp_path, umask):
    server = start(tmp_path, command=with_umask(umask, "proxy-gpt"))
    answer = server.person("Eve").get("/v1/models")
    server.event(answer)
    assert len([*(tmp_path / "proxy-journal").rglob("0*")]) > 0
    assert_private(*kept(tmp_path))


@pytest.mark.parametrize("umask", UMASKS)
def test_what_others_could_read_they_cannot_after_the_next_start(start, upstream, tmp_path, umask):
    server = start(tmp_path)
    server.event(server.person("Eve").get("/v1/models"))
    server.kill()  # so that all files stay
    leftover = [path for top in kept(tmp_path) for path in (top, *top.rglob("*"))]
    for path in leftover:
        path.chmod(0o755 if path.is_dir() else 0o644)
    server.command = [*with_umask(umask, "proxy-gpt")]
    server.start()
    assert len(leftover) > 6
    assert_private(*kept(tmp_path))
    server.event(server.person("Mallory").get("/v1/models"))
    assert_private(*kept(tmp_path))


def test_a_journal_in_a_folder_with_other_things_leaves_the_folder_and_those_as_they_are(start, upstream, tmp_path):
    folder = tmp_path / "shared"
    (folder / "other").mkdir(parents=True)
    (folder / "other" / "file").write_text("x")
    for path in (folder, folder / "other"):
        path.chmod(0o755)
    before = modes(folder / "other")
    server = start(tmp_path, JOURNAL_DIR="shared")
    server.event(server.person("Eve").get("/v1/models"))
    assert modes(folder)["shared"] == "0o755" and modes(folder / "other") == before
    (journals,) = (path for path in folder.iterdir() if path.name != "other")
    assert len(modes(journals)) == 3
    assert_private(journals)


def test_a_folder_that_everybody_writes_to_stays_so(start, tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    start(tmp_path, JOURNAL_DIR="tmp")
    assert modes(folder)["tmp"] == "0o1777" and len(modes(folder)) > 2
    assert_private(*folder.iterdir())


@pytest.mark.parametrize("umask", UMASKS)
def test_what_the_admin_command_makes_or_finds_is_its_owners_alone(tmp_path, umask):
    for name, exists in (("new.db", False), ("old.db", True)):
        path = tmp_path / name
        if exists:
            Admin(tmp_path, f"sqlite:///{path}").ok("migrate")
            path.chmod(0o664)
        subprocess.run([*with_umask(umask, "proxy-admin"), "--database", f"sqlite:///{path}", "migrate"], check=True, capture_output=True, cwd=tmp_path)
        assert modes(path) == {name: "0o600"}


def test_the_files_beside_are_those_of_the_file_that_a_link_leads_to(start, tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "proxy.db").symlink_to(real / "real.db")
    server = start(tmp_path, command=with_umask("000", "proxy-gpt"))
    server.person("Eve").get("/user/session")
    real.chmod(0o700)
    assert_private(real)
    assert "real.db-wal" in modes(real)


@pytest.fixture
def no_umask():
    """Let this process make files as it likes for a while."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_the_file_is_private_before_sqlite_opens_it(tmp_path, no_umask, monkeypatch):
    path, seen = tmp_path / "proxy.db", []
    opened = db.open_database(str(path))
    connect = opened._connect
    monkeypatch.setattr(opened, "_connect", lambda: seen.append(modes(path)) or connect())
    db.bind(opened)
    opened.close_all()
    assert seen == [{"proxy.db": "0o600"}]


def test_somebody_elses_file_is_used_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "proxy.db"
    execute_on_database(f"sqlite:///{path}", "CREATE TABLE anything (id)")
    path.chmod(0o666)

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    opened = db.open_database(str(path))
    db.bind(opened)
    opened.close_all()
    assert modes(path) == {"proxy.db": "0o666"}


def test_what_is_no_file_and_no_folder_stays_as_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.chmod(tmp_path / "pipe", 0o666)
    owner_only.restrict(tmp_path / "pipe")
    owner_only.restrict(tmp_path / "nothing")
    assert modes(tmp_path / "pipe") == {"pipe": "0o666"} and not (tmp_path / "nothing").exists()
