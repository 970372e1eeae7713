"""`python -m tests.bench.event_pages sqlite|postgres [ROWS]`: how long `proxy-admin events` takes for a page of 50, by what is asked for.

The log is made by SQL: a year of events of a thousand users, with what is frequent, rare, gone, and rare among the frequent.
"""
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from proxy_gpt import db
from proxy_gpt.config import check_database
from proxy_gpt.rules import events
from tests.bench.databases import postgres

ROWS, PAGE = 5_000_000, 50
START, INTERVAL = 1_750_000_000_000, 6_000  # milliseconds: of the first event, and from one to the next
BATCH = 250_000  # rows inserted together: a statement on PostgreSQL has its time
IDS = {
    "sqlite": "printf('%08x-%04x-7000-8000-%012x', ({ms}) >> 16, ({ms}) & 65535, n)",
    "postgres": "lpad(to_hex(({ms}) >> 16), 8, '0') || '-' || lpad(to_hex(({ms}) & 65535), 4, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0')",
}
NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})",
    "postgres": "WITH numbers AS (SELECT n FROM generate_series({first}::bigint, {last}::bigint) AS n)",
}
TIME = {"sqlite": "'2025-06-15T00:00:00.000000Z'", "postgres": "to_timestamp(({ms}) / 1000.0)"}
INSERT = """
{numbers}
INSERT INTO events (id, timestamp, kind, client_ip, user_id, method, endpoint, params, status, duration, request, response, message, model,
                    outcome, upstream_request_id, bytes_in, bytes_out, stored_at, usage, team_id)
SELECT {id}, {time}, CASE WHEN n % 5000 = 0 THEN 'login' WHEN n % 1000003 = 1 THEN 'admin' ELSE 'request' END, '10.0.0.1',
       CASE WHEN n % 5 = 0 THEN 'busy' WHEN n % 1000003 = 5 THEN 'rare' ELSE 'user-' || (n * 7919 % 1000) END, 'POST',
       CASE WHEN n % 20 = 3 THEN '/v1/files/file-' || (n * 31 % 100000) WHEN n % 20 = 7 THEN '/v1/embeddings'
            WHEN n % 1000003 = 5 THEN '/v1/rare' WHEN n % 2000 = 1 THEN '/v1/batches/batch-' || n ELSE '/v1/chat/completions' END, '',
       CASE WHEN n % 100 = 9 THEN 401 WHEN n % 1000 = 11 THEN 429 WHEN n % 1000003 = 5 THEN 503 ELSE 200 END, 0.5,
       'words ' || (n * 104729 % 1000000) || CASE WHEN n = 1000 THEN ' needle' ELSE '' END, 'more words of an answer, common to all', '',
       CASE WHEN n < {rows} / 5 THEN 'gone' WHEN n % 1000003 = 5 THEN 'rare' ELSE 'model-' || (n * 3 % 7) END,
       CASE WHEN n % 100 = 9 THEN 'refused' WHEN n % 10000 = 13 THEN 'client_gone' ELSE 'complete' END, '', 40, 40, ({ms}) * 1000, 'exact',
       CASE WHEN n % 3 = 0 THEN 'team-' || (n * 13 % 50) WHEN n % 1000003 = 5 THEN 'rare' END
FROM numbers
"""
A_DAY, LONG_AGO = datetime(2025, 9, 1, tzinfo=timezone.utc), datetime(2025, 7, 1, tzinfo=timezone.utc)
QUESTIONS = {
    "nothing": {}, "user busy": {"user_id": "busy"}, "user, one of 1000": {"user_id": "user-7"}, "user rare": {"user_id": "rare"}, "user unknown": {"user_id": "x"},
    "team, one of 50": {"team_id": "team-7"}, "team rare": {"team_id": "rare"}, "team, model frequent": {"team_id": "team-7", "model": "model-3"},
    "endpoint frequent": {"endpoint": "/v1/chat/completions"}, "endpoint rare": {"endpoint": "/v1/rare"}, "endpoint unknown": {"endpoint": "/x"},
    "endpoint /v1/*": {"endpoint": "/v1/*"}, "endpoint /v1/files/*": {"endpoint": "/v1/files/*"}, "endpoint /v1/batches/*": {"endpoint": "/v1/batches/*"},
    "endpoint /v1/r*": {"endpoint": "/v1/r*"}, "endpoint /x*": {"endpoint": "/x*"},
    "model frequent": {"model": "model-3"}, "model gone": {"model": "gone"}, "model rare": {"model": "rare"}, "model unknown": {"model": "x"},
    "status 200": {"status": "200"}, "status 401": {"status": "401"}, "status 503": {"status": "503"}, "status 404, none": {"status": "404"},
    "status 2xx": {"status": "2xx"}, "status 4xx": {"status": "4xx"}, "status 5xx": {"status": "5xx"},
    "outcome complete": {"outcome": "complete"}, "outcome client_gone": {"outcome": "client_gone"}, "outcome timeout, none": {"outcome": "timeout"},
    "kind request": {"kind": "request"}, "kind login": {"kind": "login"}, "kind admin": {"kind": "admin"},
    "since a day": {"since": A_DAY}, "until long ago": {"until": LONG_AGO}, "text common": {"text": "COMMON to all"},
    "user busy, status 503": {"user_id": "busy", "status": "503"}, "user busy, model gone": {"user_id": "busy", "model": "gone"},
    "user busy, model rare": {"user_id": "busy", "model": "rare"}, "user 7, model frequent": {"user_id": "user-7", "model": "model-3"},
    "user 7, status 4xx": {"user_id": "user-7", "status": "4xx"}, "user 7, outcome refused": {"user_id": "user-7", "outcome": "refused"},
    "user busy, until long ago": {"user_id": "busy", "until": LONG_AGO}, "user 7, since a day": {"user_id": "user-7", "since": A_DAY},
    "endpoint frequent, status 429": {"endpoint": "/v1/chat/completions", "status": "429"}, "endpoint frequent, model rare": {"endpoint": "/v1/chat/completions", "model": "rare"},
    "endpoint /v1/files/*, user 7": {"endpoint": "/v1/files/*", "user_id": "user-7"}, "model frequent, outcome client_gone": {"model": "model-3", "outcome": "client_gone"},
    "kind admin, user busy": {"kind": "admin", "user_id": "busy"}, "status 200, model rare": {"status": "200", "model": "rare"},
    "user 7, text common": {"user_id": "user-7", "text": "common to all"},
}  # fmt: skip


@contextmanager
def log(kind, folder, rows):
    """A database of this kind with so many events, open for the rules."""
    if kind == "sqlite":
        with _filled(check_database(f"sqlite:///{folder / 'events.db'}", "the database"), kind, rows):
            yield
    else:
        with postgres(folder) as address, _filled(check_database(address, "the database"), kind, rows):
            yield


@contextmanager
def _filled(address, kind, rows):
    opened = db.open_database(address)
    db.bind(opened)
    ms = f"{START} + n * {INTERVAL}"
    for first in range(1, rows + 1, BATCH):
        numbers = NUMBERS[kind].format(first=first, last=min(first + BATCH - 1, rows))
        statement = INSERT.format(numbers=numbers, id=IDS[kind].format(ms=ms), time=TIME[kind].format(ms=ms), ms=ms, rows=rows)
        with opened.connection_context(), opened.atomic():
            if kind == "postgres":
                opened.execute_sql("SET LOCAL statement_timeout = 0")
            opened.execute_sql(statement.replace("%", "%%") if kind == "postgres" else statement)
    try:
        yield
    finally:
        opened.close_all()


def seconds(question):
    """(how long the first page takes, how many rows it has)."""
    begin, found = time.monotonic(), 0
    for rows, _ in events.walk(events.Filters(**question), wanted=PAGE + 1):
        found += len(rows)
        if found >= PAGE:
            break
    return time.monotonic() - begin, min(found, PAGE)


def main(kind, rows=ROWS):
    """Print a line for each question."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        begin = time.monotonic()
        with log(kind, Path(folder), int(rows)):
            print(f"{rows} events on {kind}, made in {time.monotonic() - begin:.0f} s", flush=True)
            for name, question in QUESTIONS.items():
                taken, found = seconds(question)
                print(f"{name:40} {taken * 1000:8.1f} ms {found:5} rows", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
