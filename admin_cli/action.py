"""What every command does around its own work: open the database before, write down what was done."""
import functools
import os
from urllib.parse import urlencode

import click
import peewee

from proxy_gpt import config, db
from proxy_gpt.characters import check_characters
from proxy_gpt.errors import ProxyError, SettingError, Unavailable
from proxy_gpt.rules import audit
from proxy_gpt.setting_values import check_database

SECRET = ("password",)  # parameters that no event may have
CANNOT_OPEN = (
    "The database cannot be opened: check its address and password, that it runs and is not locked, and that you may write to it."
)


def action(creates=False):
    """Mark a command that works on the database; `creates` says that it may make a SQLite file that is not there."""

    def decorate(command):
        @functools.wraps(command)
        def wrapper(**params):
            for name, value in params.items():
                if isinstance(value, str):
                    check_characters(name, value)
            open_database(creates)
            try:
                return command(**params)
            except ProxyError as error:
                if not isinstance(error, Unavailable):  # then no event can be written either
                    audit.refused(*_what(), error)
                raise

        return wrapper

    return decorate


def recorded(message, user_id=None):
    """The block's changes and the event of the current command, in one transaction."""
    return audit.recorded(*_what(), message, user_id)


def open_database(creates):
    """Open the database of the option or of the settings, with its tables. Raises SettingError when that cannot be."""
    option = click.get_current_context().obj
    address = config.load_database() if option is None else check_database(option, "--database")
    if not (creates or db.is_postgres(address) or os.path.exists(address)):
        raise SettingError(f"There is no SQLite file '{address}': name the right one with --database, or start the server once.")
    try:
        db.bind(db.open_database(address))
    except (peewee.OperationalError, peewee.InterfaceError):  # its text may hold the password
        raise Unavailable(CANNOT_OPEN) from None


def _what():
    """(endpoint, params) for the event of the current command."""
    context = click.get_current_context()
    given = {name: value for name, value in context.params.items() if value not in (None, False, "", ()) and name not in SECRET}
    group = "" if context.parent.parent is None else f"{context.parent.info_name} "
    return f"proxy-admin {group}{context.info_name}", urlencode(given, doseq=True)
