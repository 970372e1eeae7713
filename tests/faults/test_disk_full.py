"""The disk is full: what cannot be kept is refused with a sentence, nothing is damaged, and all is well once there is room."""
import contextlib
import os
import subprocess
import threading

import pytest

from proxy_gpt.eventlog.journal import Journal
from proxy_gpt.eventlog.shipper import outcomes, read_lines
from tests.fake_openai import chunked, head
from tests.server import error_of, eventually

SSE = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("A small disk can be mounted by root alone, so what a full one does is not tested here.")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def filled(folder):
    """No byte is free there during the block."""
    path = folder / "filler"
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    assert os.statvfs(folder).f_bavail == 0
    yield
    path.unlink()


def test_a_full_disk_under_sqlite_refuses_what_it_cannot_keep_and_damages_nothing(start, small_disk, upstream):
    server = start(DB_ADDRESS=f"sqlite:///{small_disk / 'proxy.db'}")  # the journal is elsewhere
    eve = server.person("Eve")
    chat = eve.ask("/chat/create").json()["id"]
    kept, refused = [], None
    with filled(small_disk):
        for number in range(1000):  # what is left of the last page, and of the write-ahead log, is used up first
            answer = eve.ask("/chat/prompt", id=chat, prompt=f"{number}" + "x" * 1000, otr="true")
            if answer.status_code != 200:
                refused = answer
                break
            kept.append(answer.json()["message"]["id"])
        assert "disk is full" in error_of(refused, 503)["message"] and refused.headers["Retry-After"]
        call = eve.get("/v1/models")
        assert call.status_code == 200 and eve.get("/chat/read", params={"id": chat}).status_code == 200
    eventually(lambda: eve.ask("/chat/prompt", id=chat, prompt="again", otr="true").status_code == 200)
    messages = eve.get("/chat/read", params={"id": chat, "limit": 1000}).json()["messages"]
    assert [message["id"] for message in messages][: len(kept)] == kept and messages[-1]["prompt"] == "again"
    assert server.event(call, within=10)["outcome"] == "complete" and server.event(refused)["status"] == 503
    assert server.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_full_disk_under_the_journal_lets_nothing_unrecorded_go_upstream_and_breaks_no_answer(start, small_disk, upstream):
    server = start(JOURNAL_DIR=str(small_disk / "journal"))
    eve = server.person("Eve")
    upstream.script(SSE + chunked(b"data: 1\n\n"), go_on := threading.Event(), chunked(b"data: 2\n\n", b""))
    with eve.get("/v1/stream", stream=True) as stream:
        pieces = stream.iter_content(None)
        assert next(pieces) == b"data: 1\n\n"
        with filled(small_disk):
            while (refused := eve.get("/v1/models")).status_code == 200:  # what is left of the last page is used up first
                assert len(upstream.questions) < 100
            assert "not sent" in error_of(refused, 503)["message"] and refused.headers["Retry-After"]
            asked = len(upstream.questions)
            error_of(eve.get("/v1/models"), 503)
            assert error_of(eve.get("/readyz"), 503)["param"] == "journal"
            assert len(upstream.questions) == asked
            go_on.set()
            assert b"".join(pieces) == b"data: 2\n\n"  # its outcome cannot be written
            assert eve.get("/user/session").status_code == 200
    answer = eventually(lambda: (answer := eve.get("/v1/models")).status_code == 200 and answer)
    assert server.event(answer)["outcome"] == "complete"
    assert server.event(stream)["outcome"] == "complete" and server.event(refused)["status"] == 503
    assert len(server.events(endpoint="/v1/models", status=200)) == len(upstream.questions) - 1
    eventually(lambda: server.output().count("Events wait in memory") == 1)


def test_what_a_full_disk_cut_short_spoils_no_line_after_it(small_disk):
    journal = Journal(small_disk)
    with filled(small_disk), pytest.raises(OSError):
        for number in range(1000):
            journal.finish(str(number), [str(number), "x" * 900])
    journal.finish("after", ["after"])
    rows = [row[0] for lines, _ in read_lines(journal.segments()[0], 0) for row in outcomes(lines)]
    assert rows == [*(str(done) for done in range(number)), "after"]
