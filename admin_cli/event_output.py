"""How events are printed: a line each for people, a JSON object a line or CSV for programs; nothing waits for the last one."""
import json
from datetime import datetime

import click

from admin_cli.output import print_csv, printable
from proxy_gpt import clock
from proxy_gpt.models import Event
from proxy_gpt.rules import users

COLUMNS = [field.column_name for field in Event._meta.sorted_fields]
LINE = "{:36}  {:27}  {:8}  {:>6}  {:18}  {:16}  {:7}  {}"
TITLES = ("ID", "TIME", "KIND", "STATUS", "OUTCOME", "USER", "METHOD", "ENDPOINT")
BODIES = ("params", "request", "response")


class Lines:
    """A line for each event, below a line of titles."""

    def begin(self):
        """Print the titles."""
        click.echo(LINE.format(*TITLES))

    def print(self, rows):
        """Print these."""
        names = users.usernames({row["user_id"] for row in rows if row["user_id"]})
        click.echo("".join(f"{_line(row, names)}\n" for row in rows), nl=False)


class JsonLines:
    """A JSON object a line, in ASCII."""

    def begin(self):
        """Nothing comes before them."""

    def print(self, rows):
        """Print these."""
        click.echo("".join(f"{json.dumps(plain(row))}\n" for row in rows), nl=False)


class Csv:
    """CSV, a line for each event."""

    def begin(self):
        """Print the names of the columns."""
        print_csv([COLUMNS])

    def print(self, rows):
        """Print these."""
        print_csv([row[name] for name in COLUMNS] for row in map(plain, rows))


def plain(row):
    """A row with its times as text."""
    return {name: clock.to_text(value) if isinstance(value, datetime) else value for name, value in row.items()}


def print_wholly(row):
    """Print all of one event: short values first, then the texts, line by line."""
    from tabulate import tabulate  # here, as in output.py

    row = plain(row)
    short = [[name.replace("_", " "), printable(value)] for name, value in row.items() if name not in BODIES and value not in (None, "")]
    click.echo(tabulate(short, tablefmt="plain", disable_numparse=True))
    for name in BODIES:
        if row[name]:
            click.echo(f"\n{name}:\n" + "\n".join(printable(line) for line in row[name].splitlines()))


def _line(row, names):
    values = (row[name] for name in ("status", "outcome", "method", "endpoint"))
    status, outcome, method, endpoint = map(printable, values)
    user = printable(names.get(row["user_id"], row["user_id"]))
    return LINE.format(row["id"], clock.to_text(row["timestamp"]), row["kind"], status, outcome, user, method, endpoint)
