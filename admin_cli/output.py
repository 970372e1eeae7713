"""How rows are printed: as aligned columns for people, as JSON for programs."""
import json

import click

from proxy_gpt import clock

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def columns(row, names):
    """The named columns of a row as a dictionary, times as text."""
    values = {name: getattr(row, name) for name in names}
    return {name: clock.to_text(value) if name.endswith("_at") else value for name, value in values.items()}


def print_json(value):
    """Print it in ASCII, which every terminal shows and no control character is in."""
    click.echo(json.dumps(value, indent=2))


def print_table(rows, names):
    """Print a line for each row (a dictionary) below a line of titles."""
    lines = [[name.removesuffix("_at").replace("_", " ").upper() for name in names]]
    lines += [[printable(row[name]) for name in names] for row in rows]
    print_aligned(lines)


def print_aligned(lines):
    """Print lists of texts, each column as wide as its longest text."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def printable(text):
    """The text with escapes for what could play tricks on a terminal, such as a control character."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
