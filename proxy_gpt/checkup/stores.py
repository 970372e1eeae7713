"""The database and Redis."""
import os

from peewee import PeeweeException
from redis import RedisError

from proxy_gpt import clock, db, preflight
from proxy_gpt.checkup.finding import ok, problem, warning
from proxy_gpt.checkup.machine import room
from proxy_gpt.errors import ProxyError, SettingError
from proxy_gpt.migrations import NEWEST, too_new, version_of
from proxy_gpt.postgres import CONNECTIONS
from proxy_gpt.redis_link import connect

ABOUT = "database"
SKEW = 5  # seconds by which two clocks may differ


def examine_database(settings, leave_trace):
    """Yield the Findings. The tables are neither made nor upgraded."""
    address = settings.database
    if not (db.is_postgres(address) or os.path.exists(address)):
        yield warning(ABOUT, f"There is no SQLite file {address!r}. The server makes it when it starts.")
        return
    database = db.open_database(address)
    db.use(database)
    try:
        with db.connection():
            version = version_of(database)
            more = [*_postgres(settings, database)] if db.is_postgres(address) else [*room(ABOUT, os.path.dirname(os.path.abspath(address)))]
    except (ProxyError, PeeweeException) as error:  # its text may hold the password
        yield problem(ABOUT, preflight.cannot_open(address, error))
        return
    yield from _tables(version, leave_trace)
    yield from more


def examine_redis(settings):
    """Yield the Finding."""
    if not settings.redis:
        yield ok("redis", "It is not used: one worker shares with nobody.")
        return
    try:
        preflight.check_redis(settings.redis)
        connect(settings.redis).ping()
        yield ok("redis", "It answers.")
    except SettingError as error:
        yield problem("redis", str(error))
    except RedisError as error:  # its text may hold the address
        yield problem("redis", preflight.redis_is_away(error))


def _tables(version, leave_trace):
    if version > NEWEST:
        yield problem(ABOUT, too_new(version))
    elif version < NEWEST:
        was = f"are of version {version}" if version else "are not there"
        yield warning(ABOUT, f"The tables {was}: the server, when it starts, or 'proxy-admin migrate' brings them to version {NEWEST}.")
    else:
        yield _writable(version, leave_trace)


def _writable(version, leave_trace):
    try:
        leave_trace()
        return ok(ABOUT, f"It answers, its tables are of version {version}, and it can be written.")
    except ProxyError as error:
        return problem(ABOUT, error.message)
    except PeeweeException:
        return problem(ABOUT, "It can be read, but not written: see to it that the user of the server may write to it.")


def _postgres(settings, database):
    (now,) = database.execute_sql("SELECT clock_timestamp()").fetchone()
    apart = abs((clock.now() - now).total_seconds())
    if apart > SKEW:
        yield warning(ABOUT, f"Its clock and the one of this machine are {apart:.0f} seconds apart. Let both follow a time server.")
    (most,) = database.execute_sql("SHOW max_connections").fetchone()
    wanted = settings.workers * (CONNECTIONS + 1)
    if int(most) < wanted:
        yield warning(ABOUT, f"It takes {most} connections, and {settings.workers} workers may want {wanted}. Raise its max_connections, or lower WEB_CONCURRENCY.")
