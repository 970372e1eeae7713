"""The command about what was used."""
import click

from admin_cli.action import action, recorded
from admin_cli.output import json_option, print_csv, print_json, print_table
from proxy_gpt import views
from proxy_gpt.config import load_prices
from proxy_gpt.prices import Prices
from proxy_gpt.rules import gone, usage

SHOWN = {
    "requests": "requests", "input": "input_tokens", "cached": "cached_tokens", "output": "output_tokens", "reasoning": "reasoning_tokens",
    "seconds": "seconds", "cost": "cost", "estimated": "estimated", "unknown": "unknown", "unpriced": "unpriced",
}  # fmt: skip


@click.command("usage")
@click.option("--by", type=click.Choice(tuple(usage.BY)), multiple=True, help="What has a line; give it again for more. Default: user.")
@click.option("--since", metavar="DAY", default="", help="The first day: YYYY-MM-DD, or 7d for the last seven days. Default: 30d.")
@click.option("--until", metavar="DAY", default="", help="The last day. Default: today. Days are those of UTC.")
@click.option("--user", metavar="ID|USERNAME", help="Only what this user used.")
@click.option("--team", metavar="ID", help="Only what this team was charged with.")
@click.option("--model", help="Only what was used of this model.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@action()
def show_usage(by, since, until, user, team, model, as_json, as_csv):
    """Show what was used: requests, tokens, cost, and of how many requests these are estimated, unknown or without a price."""
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    currency = Prices.load(load_prices()).currency
    with recorded("Showed what was used."):
        wanted = {"user": user and gone.user_id(user), "team": team and gone.team_id(team), "model": model}
        report = usage.of_all(by or ("user",), since, until, **wanted)
    shown = views.usage(report, currency)
    if as_json:
        print_json(shown)
    elif as_csv:
        _print_csv(shown)
    else:
        _print_table(shown)


def _print_csv(shown):
    names = [*_keys(shown), *SHOWN.values()]
    print_csv([names, *([line[name] for name in names] for line in shown["usage"])])


def _print_table(shown):
    keys = _keys(shown)
    titles = [f"{title} {shown['currency']}" if title == "cost" else title for title in SHOWN]
    lines = [_line(line, keys, titles) for line in (*shown["usage"], {keys[0]: "total", **shown["total"]})]
    print_table(lines, [*keys, *titles], numbers=len(titles))
    click.echo(f"From {shown['since']} to {shown['until']}, in UTC.", err=True)


def _line(line, keys, titles):
    """A line of the table: its keys, and its sums by their titles."""
    sums = [f"{line[name]:g}" if name == "seconds" else line[name] for name in SHOWN.values()]
    return {**{key: line.get(key, "") for key in keys}, **dict(zip(titles, sums, strict=True))}


def _keys(shown):
    """What tells the lines apart: ids, with the names beside them."""
    return [key for name in shown["by"] for key in ((name, f"{name}_name") if name in ("user", "team") else (name,))]


COMMANDS = (show_usage,)
