"""How a new password is given: as an argument, by stdin, or at a prompt that does not show it."""
import functools

import click

from proxy_gpt.config import load_password_min_length
from proxy_gpt.rules.passwords import LONGEST


def new_password(command):
    """Give a command the parameters `password`, read in one of the three ways, and `shortest`, the least it may have."""

    @click.argument("password", required=False)
    @click.option("--password-stdin", is_flag=True, help="Read the password from stdin, one line.")
    @functools.wraps(command)
    def wrapper(password, password_stdin, **params):
        shortest = load_password_min_length()
        return command(password=_read(password, password_stdin), shortest=shortest, **params)

    return wrapper


def _read(password, from_stdin):
    if from_stdin and password is not None:
        raise click.UsageError("Give the password as an argument or by --password-stdin, not both.")
    if password is not None:
        return password
    stdin = click.get_text_stream("stdin", encoding="utf-8", errors="surrogateescape")
    if from_stdin:
        return stdin.readline(LONGEST + 3).rstrip("\r\n")
    if not stdin.isatty():
        raise click.UsageError("Give a password as an argument or by --password-stdin: there is no terminal to ask at.")
    return click.prompt("Password", hide_input=True, confirmation_prompt=True)
