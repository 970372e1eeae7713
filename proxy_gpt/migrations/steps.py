"""The steps from each version to the next. Those that were published are never changed."""
from peewee import BigIntegerField, CharField, PostgresqlDatabase
from playhouse.migrate import Operation, SqliteMigrator

from proxy_gpt.models import HEAD, Head, Link, Moment, digest_of
from proxy_gpt.models.chain import CHAINED

BATCH = 500  # rows inserted together


def users_can_be_disabled(schema):
    """Version 2."""
    yield schema.add_column("users", "disabled_at", Moment(null=True))


def chats_are_listed_by_index(schema):
    """Version 3."""
    for whose in ("user_id", "team_id"):
        yield schema.drop_index("chats", f"chat_{whose}")
        yield schema.add_index("chats", (whose, "updated_at", "id"))


def usage_is_summed_up_by_day(schema):
    """Version 4. What was used before it has no price, and is charged to no team."""
    yield from _frozen(schema, USAGE_DAYS)


USAGE_DAYS = """
ALTER TABLE events ADD COLUMN team_id VARCHAR(36);
ALTER TABLE events ADD COLUMN usage VARCHAR(12) DEFAULT '' NOT NULL;
ALTER TABLE events ADD COLUMN cost BIGINT;
UPDATE events SET usage = 'exact' WHERE kind = 'request' AND method = 'POST' AND user_id IS NOT NULL
    AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL OR seconds IS NOT NULL) AND substr(endpoint, 1, 21) <> '/v1/chat/completions/';
CREATE TABLE usage_days (day VARCHAR(10) NOT NULL, user_id VARCHAR(36) NOT NULL, team_id VARCHAR(36) NOT NULL, model VARCHAR(254) NOT NULL,
    requests BIGINT NOT NULL, input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL, seconds DOUBLE PRECISION NOT NULL, cost BIGINT NOT NULL, estimated BIGINT NOT NULL, unknown BIGINT NOT NULL,
    unpriced BIGINT NOT NULL, PRIMARY KEY (day, user_id, team_id, model));
CREATE INDEX "usageday_user_id_day" ON "usage_days" ("user_id", "day");
CREATE INDEX "usageday_team_id_day" ON "usage_days" ("team_id", "day");
INSERT INTO usage_days SELECT substr(CAST(timestamp AT TIME ZONE 'UTC' AS TEXT), 1, 10), user_id, '', model, COUNT(*), COALESCE(SUM(input_tokens), 0),
    COALESCE(SUM(cached_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(reasoning_tokens), 0), COALESCE(SUM(seconds), 0),
    0, 0, 0, COUNT(*) FROM events WHERE usage <> '' GROUP BY 1, 2, 3, 4
"""


def events_are_found_by_index(schema):
    """Version 5. The index of an endpoint's beginning is in the order of its bytes, which is SQLite's own."""
    collation = ' COLLATE "C"' if isinstance(schema.database, PostgresqlDatabase) else ""
    yield schema.add_column("events", "stored_at", BigIntegerField(null=True))
    yield schema.drop_index("events", "event_timestamp")
    yield schema.drop_index("events", "event_user_id_timestamp")
    for index in (
        """events_user_id_id" ON "events" ("user_id", "id") WHERE "user_id" IS NOT NULL""",
        """events_team_id_id" ON "events" ("team_id", "id") WHERE "team_id" IS NOT NULL""",
        f"""events_endpoint_id" ON "events" ((substr("endpoint", 1, 100){collation}), "id")""",
        """events_model_id" ON "events" ("model", "id") WHERE "model" <> ''""",
        """events_status_id" ON "events" ("status", "id") WHERE "status" <> 200""",
        """events_outcome_id" ON "events" ("outcome", "id") WHERE "outcome" <> 'complete'""",
        """events_kind_id" ON "events" ("kind", "id") WHERE "kind" <> 'request'""",
        """events_stored_at" ON "events" ("stored_at")""",
    ):
        yield schema.sql(f'CREATE INDEX "{index}')


def users_have_a_policy_for_the_log(schema):
    """Version 6."""
    yield schema.add_column("users", "capture", CharField(16, null=True))


def admin_events_are_chained(schema):
    """Version 7. Those that are there already are chained as they are."""
    yield from _frozen(schema, ADMIN_CHAIN)
    yield Operation(schema, _chain)


ADMIN_CHAIN = """
CREATE TABLE "admin_chain" ("number" BIGINT NOT NULL PRIMARY KEY, "event_id" VARCHAR(36) NOT NULL, "digest" VARCHAR(64) NOT NULL);
CREATE UNIQUE INDEX "link_event_id" ON "admin_chain" ("event_id");
CREATE TABLE "admin_chain_head" ("id" INTEGER NOT NULL PRIMARY KEY, "number" BIGINT NOT NULL, "digest" VARCHAR(64) NOT NULL)
"""


def _chain(schema):
    """Chain the admin events of the past. No model of today is asked: the tables are those of then."""
    cursor = schema.database.execute_sql(f"SELECT {', '.join(CHAINED)} FROM events WHERE kind = 'admin' ORDER BY id")
    digest, links = "", []
    for number, row in enumerate(cursor.fetchall(), 1):
        event = dict(zip(CHAINED, row, strict=True))
        digest = digest_of(digest, number, event)
        links.append((number, event["id"], digest))
    for start in range(0, len(links), BATCH):
        Link.insert_many(links[start : start + BATCH], fields=[Link.number, Link.event_id, Link.digest]).execute()
    Head.insert(id=HEAD, number=len(links), digest=digest).execute()


def there_are_limits(schema):
    """Version 8."""
    yield from _frozen(schema, LIMITS)


LIMITS = """
CREATE TABLE limits (subject VARCHAR(48) NOT NULL, name VARCHAR(32) NOT NULL, most BIGINT, PRIMARY KEY (subject, name));
CREATE TABLE limit_periods (subject VARCHAR(48) NOT NULL, period VARCHAR(16) NOT NULL, ends_at TIMESTAMPTZ NOT NULL, requests BIGINT NOT NULL,
    tokens BIGINT NOT NULL, money BIGINT NOT NULL, held_tokens BIGINT NOT NULL, held_money BIGINT NOT NULL, PRIMARY KEY (subject, period));
CREATE TABLE limit_holds (id VARCHAR(36) NOT NULL PRIMARY KEY, tokens BIGINT NOT NULL, money BIGINT NOT NULL, periods TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL)
"""


def processes_say_what_is_open(schema):
    """Version 9."""
    yield from _frozen(schema, PROCESSES)


PROCESSES = """
CREATE TABLE processes (id VARCHAR(36) NOT NULL PRIMARY KEY, host VARCHAR(254) NOT NULL, pid BIGINT NOT NULL, started_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL, open TEXT NOT NULL)
"""


def _frozen(schema, script):
    """The statements of a script, in PostgreSQL's words: what a step makes stays as it was, whatever becomes of `models`."""
    if isinstance(schema, SqliteMigrator):
        script = script.replace("BIGINT", "INTEGER").replace("DOUBLE PRECISION", "REAL")  # as peewee calls them there
        script = script.replace(" AT TIME ZONE 'UTC'", "")  # its times are texts in UTC
    return [schema.sql(statement) for statement in script.split(";")]


# A step yields what playhouse.migrate is to do.
STEPS = (
    users_can_be_disabled, chats_are_listed_by_index, usage_is_summed_up_by_day, events_are_found_by_index, users_have_a_policy_for_the_log,
    admin_events_are_chained, there_are_limits, processes_say_what_is_open,
)  # fmt: skip
