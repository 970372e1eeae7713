"""Commands about limits: what a user or team may use at most, and what is used of it."""
import click

from admin_cli.action import action, recorded
from admin_cli.output import json_option, print_json, print_table
from proxy_gpt import config, money
from proxy_gpt.ledger import standing
from proxy_gpt.ledger.entries import UNLIMITED, subject
from proxy_gpt.ledger.standing import NO_LIMIT, plain
from proxy_gpt.rules import limits, teams, users
from proxy_gpt.setting_values import check_database, is_whole

MOST = 10**15  # of requests and tokens
TAKEN_AWAY = "none"


class Most(click.ParamType):
    """A whole number, or for money a decimal one; `none`, or `unlimited`."""

    name = "most"

    def __init__(self, of_money):
        self.of_money = of_money

    def convert(self, value, param, ctx):
        """The number (of billionths), UNLIMITED, or TAKEN_AWAY."""
        if value == TAKEN_AWAY or isinstance(value, int):
            return value
        if value == NO_LIMIT:
            return UNLIMITED
        return self._money(value, param, ctx) if self.of_money else self._count(value, param, ctx)

    def _count(self, value, param, ctx):
        if not is_whole(value, 0, MOST):
            self.fail(f"{value!r} is not a whole number up to {MOST}, '{TAKEN_AWAY}' or '{NO_LIMIT}'.", param, ctx)
        return int(value)

    def _money(self, value, param, ctx):
        try:
            return money.from_text(value)
        except ValueError:
            self.fail(f"{value!r} is not an amount such as 12.50, of nine decimals at most, '{TAKEN_AWAY}' or '{NO_LIMIT}'.", param, ctx)


def options(command):
    """Give a command an option for each limit."""
    for name in reversed(limits.NAMES):
        quantity, _, period = name.partition("_per_")
        text = f"The most {quantity} in a {period}{', such as 12.50' if quantity == 'money' else ''}."
        command = click.option(f"--{name.replace('_', '-')}", type=Most(quantity == "money"), metavar="MOST", help=text)(command)
    return command


@click.command("limit")
@click.argument("whom", type=click.Choice(["user", "team", *limits.EVERY.values()]))
@click.argument("name", metavar="[ID|USERNAME]", required=False)
@options
@action()
def set_limit(whom, name, **given):
    """Limit a user, a team, or by default every user or team that has no such limit of its own.

    MOST is a number, `none` to take the limit away (the default holds again), or `unlimited` in spite of the default. Days and months
    are those of UTC. It is felt within a second.
    """
    given = {limit: None if most == TAKEN_AWAY else most for limit, most in given.items() if most is not None}
    if not given:
        raise click.UsageError("Say what to limit: give at least one of the options.")
    if (name is None) != (whom in limits.EVERY.values()):
        raise click.UsageError(f"Name the {whom} by its id." if name is None else f"'{whom}' stands for all: leave '{name}' out.")
    whose, title, user_id = _found(whom, name)
    said = ", ".join(f"{limit} {TAKEN_AWAY if most is None else plain(limit, most)}" for limit, most in given.items())
    with recorded(f"Limited {title}: {said}.", user_id):
        limits.put(whose, given)
    _book().begin_anew(whose)
    click.echo(f"The limits of {title} are changed: {said}.")


@click.command("limits")
@json_option
@action()
def list_limits(as_json):
    """List the limits that are set: the defaults, and those of users and teams."""
    with recorded("Listed the limits."):
        found = [{"of": whose, "name": name, **most} for whose, name, most in limits.everything()]
    if as_json:
        print_json([{key: plain(key, value) for key, value in row.items()} for row in found])
    else:
        shown = [{**row, **{name: _shown(name, row.get(name)) for name in limits.NAMES}} for row in found]
        print_table(shown, ("of", "name", *limits.NAMES))


def of_user(user_id, team_ids):
    """What a user may use, and has used of it, a dictionary for each limit; and the same for teams of the user's, by their ids."""
    book = _book()
    return standing.of_user(book, user_id), standing.of_teams(book, user_id, team_ids)


def sentence(limit):
    """One of `of_user` for people."""
    held = f", {limit['held']} held for calls under way" if limit["held"] not in (0, "0.00") else ""
    return f"{limit['used']} used of {limit['most']}{held}"


def _book():
    """The ledger, as the server sees it, with the Redis of its settings unless another database was named."""
    from proxy_gpt import redis_link  # here, since redis-py takes long to load, and most commands do without
    from proxy_gpt.ledger.book import Book

    option = click.get_current_context().obj
    address = config.load_database() if option is None else check_database(option, "--database")
    redis = config.load_redis() if option is None else ""
    return Book(address, redis_link.connect(redis) if redis else None, longest_call=0)


def _shown(name, value):
    return "" if value is None else plain(name, value)


def _found(whom, name):
    """(subject, title, user id or None) of whom a command names. Raises NotFound."""
    if whom == "user":
        user = users.by_id_or_name(name)
        return subject(whom, user.id), f"the user '{user.username}'", user.id
    if whom == "team":
        team = teams.by_id(name)
        return subject(whom, team.id), f"the team '{team.name}'", None
    return whom, whom.replace("-", " "), None


COMMANDS = (set_limit, list_limits)
