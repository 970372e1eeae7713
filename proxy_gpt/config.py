"""The settings: read once from the environment (and `.env`), checked, then frozen. Nobody else reads the environment."""
import ipaddress
import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dotenv import dotenv_values

from proxy_gpt.errors import SettingError

OPENAI = "https://api.openai.com"


@dataclass(frozen=True)
class Settings:
    """Everything an operator can set. The README's table has a line for each."""

    api_key: str = field(default="", repr=False)
    api_url: str = OPENAI
    database: str = field(default="proxy.db", repr=False)
    redis: str = field(default="", repr=False)
    host: str = "0.0.0.0"
    port: int = 8080
    workers: int = 1
    session_days: int = 365
    password_min_length: int = 1
    redirect_hosts: frozenset = frozenset()
    trusted_proxies: tuple = ("127.0.0.1", "::1")
    allow_organization: bool = False
    upstream_timeout: int = 660
    connect_timeout: int = 10
    log_body_bytes: int = 16384
    journal_dir: str = "proxy-journal"
    drain_seconds: int = 20
    models: tuple = (("gpt-3", "gpt-4o-mini"), ("gpt-4", "gpt-4o"))


def load(environ=None, folder="."):
    """The settings from the environment, with `.env` in `folder` for what is unset there.

    Raises SettingError with one sentence that names the setting.
    """
    read = _reader(environ, folder)
    host, port = read.address()
    redis = read.url("REDIS_ADDRESS", "REDIS_URL", schemes=("redis", "rediss", "unix"))
    return Settings(
        api_key=read.key(),
        api_url=read.url("API_URL", schemes=("http", "https")) or OPENAI,
        database=read.database(),
        redis=redis,
        host=host,
        port=port,
        workers=read.workers(redis),
        session_days=read.number("SESSION_DAYS", 365, least=1, most=36500),
        password_min_length=read.password_min_length(),
        redirect_hosts=frozenset(read.names("REDIRECT_HOSTS")),
        trusted_proxies=read.networks("TRUSTED_PROXIES", ("127.0.0.1", "::1")),
        allow_organization=read.switch("ALLOW_ORGANIZATION"),
        upstream_timeout=read.number("UPSTREAM_TIMEOUT", 660, least=1, most=86400),
        connect_timeout=read.number("CONNECT_TIMEOUT", 10, least=1, most=600),
        log_body_bytes=read.number("LOG_BODY_BYTES", 16384, least=0, most=1 << 20),
        journal_dir=read.text("JOURNAL_DIR") or "proxy-journal",
        drain_seconds=read.number("DRAIN_SECONDS", 20, least=0, most=3600),
        models=read.pairs("MODELS", "gpt-3=gpt-4o-mini,gpt-4=gpt-4o"),
    )


def load_database(environ=None, folder="."):
    """The setting `database` alone, for who needs no server: a bad value of another setting does not matter."""
    return _reader(environ, folder).database()


def load_password_min_length(environ=None, folder="."):
    """The setting `password_min_length` alone."""
    return _reader(environ, folder).password_min_length()


def _reader(environ, folder):
    try:
        written = dotenv_values(os.path.join(folder, ".env"))
    except (OSError, UnicodeError):
        raise SettingError("The file .env cannot be read: it must be UTF-8 text, and yours to read.") from None
    return _Reader({**written, **(os.environ if environ is None else environ)})


class _Reader:
    """Reads one setting at a time and says in a sentence what is wrong with it."""

    def __init__(self, values):
        self.values = values

    def text(self, *names):
        """The first of these settings that is set, without white space around it; "" when none is."""
        for name in names:
            value = (self.values.get(name) or "").strip()
            if value:
                return value
        return ""

    def key(self):
        value = self.text("API_KEY")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise SettingError("API_KEY has a character that cannot be sent in a header: copy the key again, without spaces.")
        return value

    def number(self, name, default, least, most):
        value = self.text(name) or str(default)
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise SettingError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
        return int(value)

    def switch(self, name):
        value = self.text(name).lower() or "false"
        if value not in SWITCH:
            raise SettingError(f"{name} must be true or false, not {value!r}.")
        return SWITCH[value]

    def names(self, name):
        return tuple(part.strip().lower() for part in self.text(name).split(",") if part.strip())

    def pairs(self, name, default):
        """`name=value` pairs, comma-separated."""
        pairs = [part.partition("=") for part in (self.text(name) or default).split(",")]
        if not all(left.strip() and right.strip() for left, _, right in pairs):
            raise SettingError(f"{name} must be a comma-separated list of alias=model, such as {default}.")
        return tuple((left.strip(), right.strip()) for left, _, right in pairs)

    def networks(self, name, default):
        """Addresses and networks, or `*` for whoever the direct peer is."""
        networks = self.names(name) or default
        for network in networks:
            try:
                network == "*" or ipaddress.ip_network(network)
            except ValueError:
                raise SettingError(f"{name} must be a comma-separated list of addresses or networks (or *): {network!r} is neither.") from None
        return networks

    def url(self, *names, schemes):
        value = self.text(*names)
        if value:
            check_url(next(name for name in names if self.text(name)), value, schemes)
        return value

    def database(self):
        name = "DB_ADDRESS" if self.text("DB_ADDRESS") else "DATABASE_URL"
        value = self.text(name)
        if not value:
            return "proxy.db"
        return check_database(value, name)

    def password_min_length(self):
        return self.number("PASSWORD_MIN_LENGTH", 1, least=1, most=1024)

    def address(self):
        """(host, port) from ADDRESS, else PORT, else every address and 8080."""
        value = self.text("ADDRESS")
        if not value:
            return "0.0.0.0", self.number("PORT", 8080, least=1, most=65535)
        host, colon, port = value.rpartition(":")
        if not colon or not port.isdigit() or not 1 <= int(port) <= 65535 or (":" in host and not host.startswith("[")):
            raise SettingError(f"ADDRESS must be host:port or :port, with a port from 1 to 65535, not {value!r}.")
        return host or "0.0.0.0", int(port)

    def workers(self, redis):
        count = self.number("WEB_CONCURRENCY", (os.cpu_count() or 1) if redis else 1, least=1, most=512)
        if count > 1 and not redis:
            raise SettingError(
                f"WEB_CONCURRENCY is {count}, but workers can share chat streams through Redis alone: set REDIS_ADDRESS, or WEB_CONCURRENCY=1."
            )
        return count


SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def check_database(value, name):
    """A database address in the one spelling the rest of the code knows: `postgresql://…` or a SQLite file's path.

    `name` is the setting or option it came from. Raises SettingError; the value may hold a password and is not shown.
    """
    if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
        return value.removeprefix("sqlite:///")
    if value.startswith("postgres://"):
        value = "postgresql://" + value.removeprefix("postgres://")
    if value.startswith("postgresql://"):
        check_url(name, value, ("postgresql",))
        return value
    raise SettingError(f"{name} must begin with postgresql:// (or postgres://), or be sqlite:///path.")


def check_url(name, value, schemes):
    """Raise SettingError unless it is a URL with one of the schemes. The value may hold a password: it is not shown."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        url = urlsplit(value)
        ok = url.scheme in schemes and (url.netloc or url.path.strip("/")) and url.port != 0
    except ValueError:
        ok = False
    if not ok or not value.isprintable() or " " in value:
        raise SettingError(f"{name} must be an address that begins with {wanted}, with a port from 1 to 65535 if any.")
