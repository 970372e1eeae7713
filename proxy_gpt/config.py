"""The settings: read once from the environment (and `.env`), checked, then frozen. Nobody else reads the environment."""
import os
import re
from dataclasses import dataclass, field, replace

from dotenv import dotenv_values

from proxy_gpt.client_ip import Trusted
from proxy_gpt.errors import SettingError
from proxy_gpt.eventlog.policy import FULL, POLICIES
from proxy_gpt.setting_values import Reader, check_database, check_http_url, check_redis_database, is_host_and_port

OPENAI = "https://api.openai.com"
FILE = ".env"
EVERY_ADDRESS = "0.0.0.0"
NAME = re.compile(r"[A-Z]+_?[A-Z_]+")  # of a setting, in a sentence about it
LOCAL, INVITE, OPEN, CLOSED = "local", "invite", "open", "closed"  # who can sign up: see `api.user.why_no_signup`
TEXT, JSON, NONE = "text", "json", "none"


@dataclass(frozen=True)
class Settings:
    """Everything an operator can set. The README's table has a line for each."""

    api_key: str = field(default="", repr=False)
    api_url: str = OPENAI
    database: str = field(default="proxy.db", repr=False)
    redis: str = field(default="", repr=False)
    host: str = EVERY_ADDRESS
    port: int = 8080
    workers: int = 1
    session_days: int = 365
    password_min_length: int = 1
    signup: str = LOCAL
    signups_per_hour: int = 1000
    login_failures: int = 10
    login_failures_address: int = 300
    streams_per_user: int = 200
    redirect_hosts: frozenset = frozenset()
    cors_origins: frozenset = frozenset()
    metrics_token: str = field(default="", repr=False)
    trusted_proxies: Trusted = Trusted(("127.0.0.1", "::1"))
    allow_organization: bool = False
    allow_client_secrets: bool = False
    allow_unmetered: tuple = ()
    upstream_timeout: int = 660
    connect_timeout: int = 10
    answer_timeout: int = 3600
    client_timeout: int = 60
    max_upload_mb: int = 520
    log_format: str = TEXT
    log_body_bytes: int = 16384
    capture: str = FULL
    journal_dir: str = "proxy-journal"
    prices: str = ""
    include_usage: bool = False
    reserve_tokens: int = 4096
    drain_seconds: int = 20
    models: tuple = (("gpt-3", "gpt-4o-mini"), ("gpt-4", "gpt-4o"))
    hints: tuple = ()  # sentences about names in the environment that nearly are settings


def load(environ=None, folder="."):
    """The settings from the environment, with `.env` in `folder` for what is unset there.

    Raises SettingError with one sentence that names the setting.
    """
    settings, faults = survey(environ, folder)
    for _, sentence in faults:
        raise SettingError(sentence)
    return settings


def survey(environ=None, folder="."):
    """Return the settings, with defaults for bad ones, and what is wrong.

    What is wrong is a list of (name of the setting or FILE, sentence).
    """
    try:
        read, faults = _reader(environ, folder), []
    except SettingError as error:
        read, faults = Reader(os.environ if environ is None else environ), [(FILE, str(error))]
    settings = None
    while settings is None:
        try:
            settings = _settings(read)
        except SettingError as error:
            name = next(name for name in NAME.findall(str(error)) if name in read.asked and read.text(name))
            faults.append((name, str(error)))
            read.values[name] = ""
    # Misspelt names come first: other faults may follow from them.
    return replace(settings, hints=_hints(read)), _misspelt(read) + faults


def _settings(read):
    host, port = _address(read)
    redis = _redis(read)
    return Settings(
        api_key=read.key("API_KEY"),
        api_url=_api_url(read),
        database=_database(read),
        redis=redis,
        host=host,
        port=port,
        workers=_workers(read, redis),
        session_days=read.number("SESSION_DAYS", 365, least=1, most=36500),
        password_min_length=_password_min_length(read),
        signup=read.choice("SIGNUP", LOCAL, INVITE, OPEN, CLOSED),
        signups_per_hour=read.number("SIGNUPS_PER_HOUR", 1000, least=1, most=1_000_000),
        login_failures=read.number("LOGIN_FAILURES", 10, least=1, most=100_000),
        login_failures_address=read.number("LOGIN_FAILURES_ADDRESS", 300, least=1, most=1_000_000),
        streams_per_user=read.number("STREAMS_PER_USER", 200, least=1, most=10_000),
        redirect_hosts=frozenset(read.hosts("REDIRECT_HOSTS")),
        cors_origins=frozenset(read.origins("CORS_ORIGINS")),
        metrics_token=read.key("METRICS_TOKEN"),
        trusted_proxies=read.networks("TRUSTED_PROXIES", ("127.0.0.1", "::1")),
        allow_organization=read.switch("ALLOW_ORGANIZATION"),
        allow_client_secrets=read.switch("ALLOW_CLIENT_SECRETS"),
        allow_unmetered=read.paths("ALLOW_UNMETERED"),
        upstream_timeout=read.number("UPSTREAM_TIMEOUT", 660, least=1, most=86400),
        connect_timeout=read.number("CONNECT_TIMEOUT", 10, least=1, most=600),
        answer_timeout=read.number("ANSWER_TIMEOUT", 3600, least=1, most=86400),
        client_timeout=read.number("CLIENT_TIMEOUT", 60, least=1, most=3600),
        max_upload_mb=read.number("MAX_UPLOAD_MB", 520, least=1, most=1 << 20),
        log_format=read.choice("LOG_FORMAT", TEXT, JSON, NONE),
        log_body_bytes=read.number("LOG_BODY_BYTES", 16384, least=0, most=1 << 20),
        capture=read.choice("CAPTURE", *POLICIES),
        journal_dir=read.text("JOURNAL_DIR") or "proxy-journal",
        prices=_prices(read),
        include_usage=read.switch("INCLUDE_USAGE"),
        reserve_tokens=read.number("RESERVE_TOKENS", 4096, least=1, most=1_000_000),
        drain_seconds=read.number("DRAIN_SECONDS", 20, least=0, most=3600),
        models=read.pairs("MODELS", "gpt-3=gpt-4o-mini,gpt-4=gpt-4o"),
    )


def load_database(environ=None, folder="."):
    """Return the setting `database`; faults of other settings do not matter."""
    return _alone(_database, environ, folder)


def load_password_min_length(environ=None, folder="."):
    """The setting `password_min_length` alone."""
    return _alone(_password_min_length, environ, folder)


def load_redis(environ=None, folder="."):
    """The setting `redis` alone."""
    return _alone(_redis, environ, folder)


def load_prices(environ=None, folder="."):
    """The setting `prices` alone."""
    return _alone(_prices, environ, folder)


def many_workers(count):
    """The sentence that refuses more than one worker without Redis."""
    return f"WEB_CONCURRENCY is {count}, but workers can share chat streams through Redis alone: set REDIS_ADDRESS, or WEB_CONCURRENCY=1."


def _reader(environ, folder):
    try:
        # Editors on Windows begin a file with a mark that would become part of the first name.
        written = dotenv_values(os.path.join(folder, FILE), encoding="utf-8-sig")
    except (OSError, UnicodeError):
        raise SettingError("The file .env cannot be read: it must be UTF-8 text, and yours to read.") from None
    return Reader(os.environ if environ is None else environ, written)


def _alone(read_one, environ, folder):
    read = _reader(environ, folder)
    value = read_one(read)
    for _, sentence in _misspelt(read):
        raise SettingError(sentence)
    return value


def _misspelt(read):
    """Return (setting, sentence) for each misspelt name in the file .env."""
    sentence = "The file .env sets {!r}, which is not a setting: write {}, or remove the line."
    return [(setting, sentence.format(name, setting)) for name, setting in read.misspelt(read.written)]


def _hints(read):
    sentence = "The environment sets {!r}, which is not a setting: {} may be meant."
    return tuple(sentence.format(*pair) for pair in read.misspelt(read.environ.keys() - read.written.keys()))


def _api_url(read):
    value = read.url("API_URL", schemes=("http", "https"))
    if value:
        check_http_url("API_URL", value)
    return value or OPENAI


def _database(read):
    name = read.used("DB_ADDRESS", "DATABASE_URL")
    value = read.text(name)
    return check_database(value, name) if value else "proxy.db"


def _redis(read):
    names = ("REDIS_ADDRESS", "REDIS_URL")
    value = read.url(*names, schemes=("redis", "rediss", "unix"))
    check_redis_database(read.used(*names), value)
    if read.switch("REDIS_SKIP_VERIFY") and value.startswith("rediss://"):
        value += f"{'&' if '?' in value else '?'}ssl_cert_reqs=none"
    return value


def _prices(read):
    return read.text("PRICES")


def _password_min_length(read):
    return read.number("PASSWORD_MIN_LENGTH", 1, least=1, most=1024)


def _address(read):
    """(host, port) from ADDRESS, else PORT, else every address and 8080."""
    if read.used("ADDRESS", "PORT") == "PORT":
        return EVERY_ADDRESS, read.number("PORT", 8080, least=1, most=65535)
    value = read.text("ADDRESS")
    if not is_host_and_port(EVERY_ADDRESS + value if value.startswith(":") else value):
        raise SettingError("ADDRESS must be host:port or :port, with a port from 1 to 65535, and brackets around an IPv6 address.")
    host, _, port = value.rpartition(":")
    return host or EVERY_ADDRESS, int(port)


def _workers(read, redis):
    count = read.number("WEB_CONCURRENCY", (os.cpu_count() or 1) if redis else 1, least=1, most=512)
    if count > 1 and not redis:
        raise SettingError(many_workers(count))
    return count
