"""What only trying can tell, tried once before the first worker: the address, the database, the journal's folder, Redis.

What the proxy cannot be without stops the start. Without Redis it can be, for a while.
"""
import os
import socket
import tempfile

from peewee import PeeweeException
from redis import RedisError

from proxy_gpt import db
from proxy_gpt.client_ip import is_loopback
from proxy_gpt.config import CLOSED, INVITE, LOCAL, OPEN
from proxy_gpt.errors import SettingError
from proxy_gpt.eventlog import journal
from proxy_gpt.prices import Prices
from proxy_gpt.redis_link import connect

ADMIN_KEY = "API_KEY is an admin key, which manages the organization: use a project key."
NO_KEY = "API_KEY is not set: requests go to the upstream without a key."
OPEN_TO_ALL = "SIGNUP is open: whoever reaches this address can make an account and use the shared key. SIGNUP=closed lets nobody sign up."
WHO_SIGNS_UP = {
    LOCAL: "Sign-up: programs on this machine only (SIGNUP=local).",
    INVITE: "Sign-up: nobody, since there are no invitations yet (SIGNUP=invite).",
    OPEN: "Sign-up: everybody who reaches this address (SIGNUP=open).",
    CLOSED: "Sign-up: nobody (SIGNUP=closed).",
}


def check(settings):
    """Raise SettingError for what cannot be used."""
    check_host(settings.host)
    check_folder(settings.journal_dir)
    journal.restrict(settings.journal_dir, settings.database)
    Prices.load(settings.prices)
    check_database(settings.database)
    if settings.redis:
        check_redis(settings.redis)


def advice(settings):
    """Yield a sentence for each setting that works but is risky."""
    yield from settings.hints
    if not settings.api_key:
        yield NO_KEY
    if settings.api_key.startswith("sk-admin-"):
        yield ADMIN_KEY
    if strangers_sign_up(settings):
        yield OPEN_TO_ALL


def strangers_sign_up(settings):
    """Return whether somebody on another machine can make an account."""
    return settings.signup == OPEN and not is_loopback(settings.host)


def warnings(settings):
    """Yield a sentence for each risk, and for each store that is away."""
    yield from advice(settings)
    if settings.redis:
        try:
            connect(settings.redis).ping()
        except RedisError as error:
            yield redis_is_away(error)


def redis_is_away(error):
    """The sentence about it."""
    return (
        f"REDIS_ADDRESS (or REDIS_URL): Redis cannot be reached now ({type(error).__name__}). "
        "Until it can be, each worker serves its own chat streams alone, and contexts are read from the database."
    )


def check_host(host):
    """Raise SettingError unless this machine can listen there, at whatever port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        raise SettingError(f"ADDRESS must begin with a name or an address of this machine, or with the colon alone: {host!r} is none.") from None


def check_folder(path):
    """Raise SettingError unless files can be made in this folder, which is itself made when it is missing."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        raise SettingError(f"JOURNAL_DIR must be a folder that can be made and written to, which {path!r} is not.") from None


def check_database(address):
    """Raise SettingError unless the database opens and has, or gets, its tables."""
    database = db.open_database(address)
    try:
        db.bind(database)
    except PeeweeException as error:  # its text may hold the password
        raise SettingError(cannot_open(address, error)) from None
    finally:
        database.close_all()  # the workers are forked from here, and must not share a connection


def check_redis(address):
    """Raise SettingError for options in the address that are none."""
    try:
        connect(address).connection_pool.make_connection()
    except (ValueError, TypeError):  # its text may hold the password
        raise SettingError("REDIS_ADDRESS (or REDIS_URL) has an option behind its question mark that Redis does not know.") from None


def cannot_open(address, error):
    """The sentence about a database that cannot be used, for this error."""
    if db.is_postgres(address):
        return (
            "DB_ADDRESS (or DATABASE_URL): the PostgreSQL database cannot be used, so check the host, the port, the user, the password "
            "and the database's name, that it runs, and that the user may create tables in it."
        )
    if db.is_damaged(error):
        return (
            f"DB_ADDRESS (or DATABASE_URL): the file {address!r} is damaged, or is no SQLite database, so remove '{address}-wal' and "
            f"'{address}-shm' if they are there, and put a backup in its place."
        )
    return (
        f"DB_ADDRESS (or DATABASE_URL): the SQLite file {address!r} cannot be used, so check that its folder is there, "
        "that you may write to both, and that no other program holds a lock on it."
    )
