"""How one setting is read: its text, checked, or a sentence that names it and says what it must be."""
import os
import re
from urllib.parse import urlsplit

from proxy_gpt.client_ip import Trusted
from proxy_gpt.errors import SettingError

SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|\[[0-9a-f:.]+\]", re.IGNORECASE)  # a name, IPv4, or IPv6 in brackets

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
PATH = re.compile(r"/v1/[^\s*]*\*?")  # as callers write it; a * at its end stands for anything


class Reader:
    """Reads one setting at a time and raises SettingError with what is wrong with it."""

    def __init__(self, environ, written=()):
        self.environ, self.written = environ, dict(written)  # `written` is what the file .env says
        self.values = {**self.written, **{name: value for name, value in environ.items() if value.strip()}}
        self.asked = set()  # the names of all settings that were read

    def text(self, *names):
        """The first of these settings that is set, without white space around it; "" when none is."""
        self.asked.update(names)
        return next((value for name in names if (value := (self.values.get(name) or "").strip())), "")

    def key(self, name):
        """A text that can be sent in a header."""
        value = self.text(name)
        if not value.isascii() or not value.isprintable() or " " in value:
            raise SettingError(f"{name} has a character that cannot be sent in a header: copy the key again, without spaces.")
        return value

    def number(self, name, default, least, most):
        """A whole number within these bounds."""
        value = self.text(name) or str(default)
        if not is_whole(value, least, most):
            raise SettingError(f"{name} must be a whole number from {least} to {most}, not {value[:40]!r}.")
        return int(value)

    def switch(self, name):
        """True or False, false when unset."""
        value = self.text(name).lower() or "false"
        if value not in SWITCH:
            raise SettingError(f"{name} must be true or false, not {value[:40]!r}.")
        return SWITCH[value]

    def names(self, name):
        """Comma-separated names, in lower case."""
        return tuple(part.strip().lower() for part in self.text(name).split(",") if part.strip())

    def hosts(self, name):
        """Hosts as a browser's `Host` header has them: with a port where it is not the usual one."""
        hosts = self.names(name)
        for host in hosts:
            if not (HOST.fullmatch(host) or is_host_and_port(host)):
                raise SettingError(f"{name} must be a comma-separated list of hosts such as app.example or app.example:8443, without https://.")
        return hosts

    def origins(self, name):
        """Origins as a browser's `Origin` header has them."""
        origins = self.names(name)
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if not (SCHEME.fullmatch(scheme) and (HOST.fullmatch(host) or is_host_and_port(host))):
                raise SettingError(f"{name} must be a comma-separated list of origins such as https://app.example, without a path or a slash at the end.")
        return origins

    def paths(self, name):
        """Paths below /v1/, with `*` at the end for anything that follows."""
        paths = tuple(part.strip() for part in self.text(name).split(",") if part.strip())
        if not all(PATH.fullmatch(path) and path != "/v1/" for path in paths):
            raise SettingError(f"{name} must be a comma-separated list of paths such as /v1/vector_stores*, with * at the end alone.")
        return paths

    def choice(self, name, *words):
        """One of these words, the first when unset."""
        value = self.text(name).lower() or words[0]
        if value not in words:
            raise SettingError(f"{name} must be {' or '.join(words)}, not {value[:40]!r}.")
        return value

    def pairs(self, name, default):
        """`name=value` pairs, comma-separated."""
        pairs = [part.partition("=") for part in (self.text(name) or default).split(",")]
        if not all(left.strip() and right.strip() for left, _, right in pairs):
            raise SettingError(f"{name} must be a comma-separated list of alias=model, such as {default}.")
        return tuple((left.strip(), right.strip()) for left, _, right in pairs)

    def networks(self, name, default):
        """Return the Trusted proxies of a setting: addresses and networks, or `*` for any direct peer."""
        networks = self.names(name) or default
        for network in networks:
            try:
                Trusted([network])
            except ValueError:
                raise SettingError(
                    f"{name} must be a comma-separated list of addresses or networks such as 10.0.0.0/8 (or *): {network[:40]!r} is neither."
                ) from None
        return Trusted(networks)

    def url(self, *names, schemes):
        """An address with one of these schemes, "" when unset."""
        value = self.text(*names)
        if value:
            check_url(self.used(*names), value, schemes)
        return value

    def used(self, *names):
        """The name of the first of these settings that is set, else the last."""
        self.asked.update(names)
        return next((name for name in names if self.text(name)), names[-1])

    def misspelt(self, names):
        """Yield (name, setting) for each name that nearly is a setting that was read."""
        for name in names:
            near = [] if name in self.asked else sorted(setting for setting in self.asked if is_nearly(name, setting))
            yield from ((name, setting) for setting in near[:1])


SHORTEST = 6  # characters of a name that is compared for nearness: PATH and HOST are near PAGE and PORT


def is_nearly(name, setting):
    """Return whether a name is a misspelt setting.

    It is in another case, or one character is missing, added or changed, or two neighbours are swapped.
    """
    folded = name.upper()
    if folded == setting:
        return name != setting
    if min(len(folded), len(setting)) < SHORTEST or abs(len(folded) - len(setting)) > 1:
        return False
    start = len(os.path.commonprefix((folded, setting)))
    left, right = folded[start:], setting[start:]
    end = len(os.path.commonprefix((left[::-1], right[::-1])))
    left, right = left[: len(left) - end], right[: len(right) - end]
    return max(len(left), len(right)) == 1 or (len(left) == 2 and left == right[::-1])


def check_database(value, name):
    """A database address in the one spelling the rest of the code knows: `postgresql://…` or a SQLite file's path.

    `name` is the setting or option it came from. Raises SettingError; the value may hold a password and is not shown.
    """
    if value == "sqlite:///:memory:":  # each connection, of which there are many, would have a database of its own
        raise SettingError(f"{name} must name a file: a SQLite database in memory cannot be shared by several connections.")
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


def check_http_url(name, value):
    """Raise SettingError for what a web address may have and an upstream's must not, or what it must have."""
    url = urlsplit(value)
    if not url.hostname or not value.isascii():
        raise SettingError(f"{name} must have a host, and ASCII characters alone.")
    if url.username is not None:
        raise SettingError(f"{name} must not have a user or a password in it: the upstream is sent API_KEY alone.")


def check_redis_database(name, value):
    """Raise SettingError for a database that is not a number: redis-py would use number 0 without a word."""
    url = urlsplit(value)
    if url.scheme != "unix" and url.path.strip("/") and not is_whole(url.path.strip("/"), 0, 1 << 20):
        raise SettingError(f"{name} must end with the host and port, or with the number of a database, such as /0.")


def is_whole(text, least, most):
    """Whether a text is a whole number within these bounds, in plain digits."""
    return len(text) < 20 and text.isascii() and text.isdigit() and least <= int(text) <= most


def is_host_and_port(text):
    """Whether a text is `host:port`."""
    host, colon, port = text.rpartition(":")
    return bool(colon and HOST.fullmatch(host)) and is_whole(port, 1, 65535)
