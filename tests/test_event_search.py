"""Looking for events, on both databases: what is found is what a look at all rows would find, and each step of it uses an index."""
import itertools
import logging

import pytest

from proxy_gpt.db import proxy
from proxy_gpt.models import Event
from proxy_gpt.rules import event_sources, events
from tests.bench.event_pages import QUESTIONS, log
from tests.test_indexes import scans

ROWS = 1000
MORE = (
    {"id": "0", "endpoint": "/v1/odd%_", "request": '{"a": "\\u00fcber \\"quoted\\""}', "user_id": "x"},
    {"id": "1", "endpoint": "/" + "long" * 2000, "model": "x" * 254, "response": "Über", "message": "MiXed"},
    {"id": "2", "endpoint": "/" + "long" * 2000 + "er", "kind": "admin", "status": 500},
)  # fmt: skip
HARD = {
    "endpoint long": {"endpoint": MORE[1]["endpoint"]}, "endpoint long*": {"endpoint": MORE[1]["endpoint"] + "*"}, "endpoint %": {"endpoint": "/v1/odd%*"},
    "endpoint *": {"endpoint": "*"}, "text mixed": {"text": "mIxED"}, "text in JSON": {"text": 'über "quoted"'}, "text percent": {"text": "%_"},
    "text needle": {"text": "NEEDLE"}, "status 500": {"status": "500"}, "status 3xx": {"status": "3xx"}, "model empty": {"model": ""},
}  # fmt: skip
PAIRS = {
    f"{one} and {other}": {**QUESTIONS[one], **QUESTIONS[other]} for one, other in list(itertools.combinations(QUESTIONS, 2))[::6]
    if len(QUESTIONS[one]) == len(QUESTIONS[other]) == 1 and set(QUESTIONS[one]) != set(QUESTIONS[other])
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(backend, tmp_path_factory):
    """All rows of a log that is open, newest first."""
    with log(backend, tmp_path_factory.mktemp("log"), ROWS), proxy.connection_context():
        for row in MORE:
            Event.create(**row)
        yield list(Event.select().order_by(Event.id.desc()).dicts())


def wanted(row, filters):
    """Whether a row is one of those that are looked for, in plain Python."""
    since, until = filters.bounds()
    first, last = event_sources.statuses(filters.status or "100")
    prefix, star = (filters.endpoint or "*").removesuffix("*"), (filters.endpoint or "*").endswith("*")
    texts = [row[name].lower().replace("\\u00fc", "ü").replace('\\"', '"') for name in ("request", "response", "endpoint", "params", "message")]
    return (
        all(getattr(filters, name) in (None, row[name]) for name in ("user_id", "team_id", "model", "outcome", "kind"))
        and (filters.status is None or row["status"] is not None and first <= row["status"] <= last)
        and (row["endpoint"].startswith(prefix) if star else row["endpoint"] == prefix)
        and since <= row["id"] < until and (not filters.text or any(filters.text.lower() in text for text in texts))
    )  # fmt: skip


@pytest.mark.parametrize("step", [7, events.STEP])
def test_what_is_found_is_what_a_look_at_all_rows_finds(rows, monkeypatch, step):
    monkeypatch.setattr(events, "STEP", step)
    questions = QUESTIONS | HARD | (PAIRS if step > 7 else {})
    for name, question in questions.items():
        filters = events.Filters(**question)
        found = [row["id"] for page, _ in events.walk(filters, wanted=3) for row in page]
        assert found == [row["id"] for row in rows if wanted(row, filters)], name
    assert sum(bool(question) for question in questions.values()) > 40


def test_pages_come_one_after_the_other(rows):
    filters = events.Filters(status="4xx")
    everything = [row["id"] for page, _ in events.walk(filters) for row in page]
    middle = everything[len(everything) // 2]
    assert [row["id"] for page, _ in events.walk(filters, before=middle) for row in page] == everything[everything.index(middle) + 1 :]
    assert list(events.walk(filters, before="0")) == []


def test_each_query_of_a_search_is_bounded_and_uses_an_index(rows, caplog):
    for name, question in (QUESTIONS | HARD).items():
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "peewee"):
            next(events.walk(events.Filters(**question)), None)
        asked = [record.msg for record in caplog.records if record.msg[0].startswith("SELECT")]
        assert asked and [sql for sql, values in asked if scans(sql, values) or "LIMIT" not in sql and " IN " not in sql] == [], name
