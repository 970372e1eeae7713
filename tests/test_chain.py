"""The chain of admin events, on both databases: whatever is done to it behind the proxy's back is found and named."""
import re
import subprocess

import pytest

from proxy_gpt import db
from proxy_gpt.config import check_database
from proxy_gpt.models import Event, Head, Link, proxy
from proxy_gpt.rules import audit, chain
from tests.admin import COMMAND, Admin
from tests.server import execute_on_database

LENGTH = 6


@pytest.fixture(scope="module")
def events(backend, new_database):
    """The ids of the events of a chain, on an open database; what a test does to it is undone."""
    opened = db.open_database(check_database(new_database(backend), "the test's database"))
    db.bind(opened)
    with opened.connection_context():
        for number in range(1, LENGTH + 1):
            with audit.recorded("proxy-admin test", "", f"Did number {number}: é.", "somebody" if number % 2 else None):
                pass
        yield [link.event_id for link in Link.select().order_by(Link.number)]
    opened.close_all()


@pytest.fixture(autouse=True)
def undone(events):
    """What happens in a test is taken back."""
    with proxy.atomic() as transaction:
        yield
        transaction.rollback()


def faults(kept=None):
    """What a check of the chain finds."""
    check = chain.Check(kept)
    list(check.run())
    return check.faults


def change(column, value):
    return lambda events: Event.update(**{column: value}).where(Event.id == events[2]).execute()


def swap_times(events):
    one, other = (Event.get_by_id(events[number]).timestamp for number in (1, 3))
    Event.update(timestamp=other).where(Event.id == events[1]).execute()
    Event.update(timestamp=one).where(Event.id == events[3]).execute()


def take_away_wholly(events):
    Event.delete().where(Event.id == events[2]).execute()
    Link.delete().where(Link.event_id == events[2]).execute()


def cut_off(events):
    Event.delete().where(Event.id == events[-1]).execute()
    Link.delete().where(Link.event_id == events[-1]).execute()


def take_away_all(events):
    Link.delete().execute()
    Event.delete().where(Event.id.in_(events)).execute()


def make_anew_from_the_third(events):
    """As one would who knows how, but for the head."""
    Event.update(message="Nothing.").where(Event.id == events[2]).execute()
    digest = Link.get_by_id(2).digest
    for number in range(3, LENGTH + 1):
        event = Event.select().where(Event.id == events[number - 1]).dicts().first()
        digest = chain.digest_of(digest, number, event)
        Link.update(digest=digest).where(Link.number == number).execute()


TAMPERING = {
    **{f"changed {column}": (change(column, value), [r"Changed.*number 3\."]) for column, value in {
        "message": "Did nothing.", "endpoint": "", "params": "x", "user_id": "another", "timestamp": "2026-01-01T00:00:00.000000Z",
        "outcome": "refused", "kind": "request", "status": 1, "duration": 1, "client_ip": "1", "bytes_in": 7, "model": "m", "response": "r",
    }.items()},
    "event missing": (lambda events: Event.delete().where(Event.id == events[2]).execute(), [r"Missing: the event .*, number 3\."]),
    "link missing": (lambda events: Link.delete().where(Link.number == 3).execute(), [r"Missing: number 3 ", r"Inserted"]),
    "both missing": (take_away_wholly, [r"Missing: number 3 "]),
    "first missing": (lambda events: Link.delete().where(Link.number <= 2).execute(), [r"Missing: the numbers 1 to 2 ", "Inserted", "Inserted"]),
    "inserted": (lambda events: Event.create(kind="admin", id="0"), [r"Inserted: the admin event 0 "]),
    "kind made admin": (lambda events: Event.create(kind="admin", endpoint="/v1/models"), [r"Inserted"]),
    "times exchanged": (swap_times, [r"Changed.*number 2\.", r"Changed.*number 4\."]),
    "digest changed": (lambda events: Link.update(digest="0" * 64).where(Link.number == 3).execute(), [r"Changed.*number 3\.", r"Changed.*number 4\."]),
    "cut off": (cut_off, [r"Changed: the head.*with number 5, the head is at number 6"]),
    "head changed": (lambda events: Head.update(number=3).execute(), [r"Changed: the head.*with number 6, the head is at number 3"]),
    "head missing": (lambda events: Head.delete().execute(), [r"Changed: the head.*with number 6, the head is at number 0"]),
    "head far ahead": (lambda events: Head.update(number=2**63 - 1).execute(), [r"Changed: the head.*with number 6, the head is at"]),
    "all missing": (take_away_all, [r"Changed: the head.*with number 0, the head is at number 6"]),
    "made anew but for the head": (make_anew_from_the_third, [r"Changed: the head"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERING)
def test_what_was_done_to_the_chain_is_found_and_named(events, case):
    assert faults() == []
    tamper, wanted = TAMPERING[case]
    tamper(events)
    found = faults()
    assert len(found) == len(wanted) and all(map(re.search, wanted, found)), found
    for _ in range(2):  # it stops nobody, and is not forgotten
        with audit.recorded("proxy-admin test", "", "Went on."):
            pass
        wanted = [*wanted[:-1], "Broken: the head of the chain"] if "the head" in wanted[-1] else wanted
        assert len(found := faults()) == len(wanted) and all(map(re.search, wanted, found)), found


def test_events_that_changed_places_are_both_found(events):
    digests = {link.number: link.digest for link in Link.select()}
    Link.delete().where(Link.number.in_((2, 4))).execute()
    for number, identity in ((2, events[3]), (4, events[1])):
        Link.create(number=number, event_id=identity, digest=digests[number])
    assert [re.search(r"number (\d)\.$", fault)[1] for fault in faults()] == ["2", "4"]


@pytest.mark.parametrize("batch", [2, 500])
def test_a_digest_that_was_kept_elsewhere_finds_a_chain_that_was_made_anew_or_cut_off(events, monkeypatch, batch):
    monkeypatch.setattr(chain, "BATCH", batch)
    kept = [link.digest for link in Link.select().order_by(Link.number)]
    assert [faults(digest) for digest in kept] == [[]] * LENGTH
    make_anew_from_the_third(events)
    Head.update(digest=Link.get_by_id(LENGTH).digest).execute()
    assert faults() == [] and faults(kept[1]) == []
    assert [len(faults(digest)) for digest in kept[2:]] == [1] * 4
    take_away_wholly(events[-3:])  # the last one, with its link
    Head.update(number=LENGTH - 1, digest=Link.get_by_id(LENGTH - 1).digest).execute()
    assert faults() == [] and "cut off" in faults(kept[-1])[0]


def test_the_command_says_whether_the_chain_is_whole(database, tmp_path):
    admin = Admin(tmp_path, database)
    admin.ok("create", "alice", "pw c4n4ry")
    admin.refused("user", "nobody")
    commands = [subprocess.Popen([COMMAND, *admin.options, "list"], stdout=subprocess.DEVNULL, cwd=tmp_path) for _ in range(6)]
    assert [command.wait(30) for command in commands] == [0] * 6
    said, digest = admin.ok("audit", "verify").splitlines()
    assert said.startswith("The chain of 9 admin events is whole.") and re.fullmatch("[0-9a-f]{64}", digest)
    assert admin.ok("audit", "verify", "--head", digest).startswith("The chain of 10 ")
    execute_on_database(database, "UPDATE events SET message = 'Nothing.' WHERE endpoint = 'proxy-admin user'")
    done = admin.run("audit", "verify", "--head", "0" * 64)
    assert done.returncode == 1 and re.search(r"^Changed.*, number 2\.\n.*kept", done.stdout) and done.stderr.endswith("faults found: 2.\n")
    assert [(event["endpoint"], event["outcome"]) for event in admin.events()[-2:]] == [("proxy-admin audit verify", "complete"), ("proxy-admin audit verify", "refused")]
    execute_on_database(database, "UPDATE admin_chain_head SET number = 4")
    commands = [subprocess.Popen([COMMAND, *admin.options, "disable", "alice"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path) for _ in range(3)]
    told = [command.communicate(timeout=30)[1] for command in commands]
    assert [command.returncode for command in commands] == [0] * 3
    assert sorted(map(len, told))[:2] == [0, 0] and max(told).startswith(b"The head of the chain") and max(told).count(b"\n") == 1
    for _ in range(2):
        assert re.findall("^Broken: .*, number 13\\.$", admin.run("audit", "verify").stdout, re.MULTILINE)
