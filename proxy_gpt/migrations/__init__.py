"""The schema's versions. A new database gets the newest; an older one goes through the steps that it has not had.

Version 1 is the first one that was published: eight tables. To change the schema, change `models` and write a step, as its
last one, that brings the tables there; steps that were published are never changed.
"""
from playhouse.migrate import SchemaMigrator, migrate

from proxy_gpt.errors import SettingError
from proxy_gpt.migrations.steps import STEPS
from proxy_gpt.models import TABLES

VERSION_TABLE = "schema_version"  # one row with one number
NEWEST = 1 + len(STEPS)


def bring_up_to_date(database):
    """Make the tables, or bring them to this program's version. The caller has the schema's lock and a transaction.

    Raises SettingError when they are newer than that.
    """
    version = version_of(database)
    if version > NEWEST:
        raise SettingError(too_new(version))
    if version == 0:
        database.create_tables(TABLES)
    for step in STEPS[version - 1 :] if version else ():
        migrate(*step(SchemaMigrator.from_database(database)))
    if version < NEWEST:
        _write_version(database)


def version_of(database):
    """The version of the tables; 0 when there are none."""
    tables = database.get_tables()
    if VERSION_TABLE in tables:
        return database.execute_sql(f"SELECT version FROM {VERSION_TABLE}").fetchone()[0]
    return 1 if "users" in tables else 0  # version 1 did not write its number down


def _write_version(database):
    database.execute_sql(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version INTEGER NOT NULL)")
    database.execute_sql(f"DELETE FROM {VERSION_TABLE}")
    database.execute_sql(f"INSERT INTO {VERSION_TABLE} (version) VALUES ({NEWEST:d})")


def too_new(version):
    """The sentence about tables of a later version."""
    return (
        f"DB_ADDRESS (or DATABASE_URL): the database has version {version} of the tables, and this program knows them up to {NEWEST}, "
        "so start the program that made them, or a newer one."
    )
