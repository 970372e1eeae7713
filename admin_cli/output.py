"""How rows are printed: as aligned columns for people, as JSON or CSV for programs."""
import csv
import io
import json

import click

from proxy_gpt import clock

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute (OWASP, CSV injection)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def columns(row, names):
    """The named columns of a row as a dictionary, times as text."""
    values = {name: getattr(row, name) for name in names}
    return {name: clock.to_text(value) if name.endswith("_at") and value else value for name, value in values.items()}


def print_json(value):
    """Print it in ASCII, which every terminal shows and no control character is in."""
    click.echo(json.dumps(value, indent=2))


def print_csv(lines):
    """Print lists of values as RFC 4180 has it. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(map(_cell, line) for line in lines)
    click.echo(text.getvalue(), nl=False)


def print_table(rows, names, numbers=0):
    """Print a line for each row (a dictionary) below a line of titles; the last columns, so many, are numbers."""
    titles = [name.removesuffix("_at").replace("_", " ").upper() for name in names]
    _print_aligned([[printable(row[name]) for name in names] for row in rows], titles, numbers)


def print_fields(row):
    """Print a row (a dictionary), a line for each of its values."""
    _print_aligned([[name.replace("_", " "), printable(value)] for name, value in row.items()])


def _cell(value):
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _print_aligned(lines, titles=(), numbers=0):
    from tabulate import tabulate  # here, since --help and --json do without

    sides = ["left"] * (len(titles) - numbers) + ["right"] * numbers if lines else ()
    table = tabulate(lines, titles, tablefmt="plain", disable_numparse=True, colalign=sides)
    click.echo("\n".join(line.rstrip() for line in table.splitlines()))


def printable(value):
    """The value as text, with escapes for what could play tricks on a terminal, such as a control character."""
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
