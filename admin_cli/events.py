"""Commands about the event log: looking for events, exporting them, watching them arrive."""
import functools
import re
import time

import click

from admin_cli.action import action, recorded
from admin_cli.event_output import Csv, JsonLines, Lines, plain, print_wholly
from admin_cli.output import json_option, print_json
from admin_cli.progress import Progress, interruptible
from admin_cli.times import HELP, TIME
from proxy_gpt import clock
from proxy_gpt.eventlog.record import OUTCOMES
from proxy_gpt.ids import first_id, moment_of
from proxy_gpt.models import KINDS
from proxy_gpt.rules import events, gone

POLL = 0.5  # seconds between two looks for what has arrived
PAGE = 50


def status(context, parameter, value):
    """The option `--status`: a number, or a class such as 4xx."""
    if value is not None and not re.fullmatch(r"[1-5](\d\d|[xX]{2})", value):
        raise click.BadParameter("it must be a number from 100 to 599 such as 404, or a class such as 4xx.")
    return value


FILTERS = (
    click.option("--user", metavar="ID|USERNAME", help="Only those of this user."),
    click.option("--team", metavar="ID", help="Only those charged to this team."),
    click.option("--endpoint", metavar="PATH", help="Only those of this path, or with * at its end of all that begin so."),
    click.option("--model", help="Only those of this model."),
    click.option("--status", callback=status, help="Only those answered with this status, or such as 4xx."),
    click.option("--outcome", type=click.Choice(OUTCOMES), help="Only those with this outcome."),
    click.option("--kind", type=click.Choice(KINDS), help="Only those of this kind."),
    click.option("--since", type=TIME, help=f"Only those from then on: {HELP}."),
    click.option("--until", type=TIME, help="Only those before then."),
    click.option("--text", help="Only those with this text, whatever its case, in the endpoint, parameters, bodies or message."),
)


def filtered(command):
    """Give a command the options that say what is looked for, as one parameter `filters`."""

    @functools.wraps(command)
    def wrapper(user, team, **params):
        names = [name for name in params if name in events.Filters.__dataclass_fields__]
        wanted = {name: params.pop(name) for name in names}
        filters = events.Filters(user_id=user and gone.user_id(user), team_id=team and gone.team_id(team), **wanted)
        return command(filters, **params)

    for option in reversed(FILTERS):
        wrapper = option(wrapper)
    return wrapper


@click.command("events")
@click.option("--limit", type=click.IntRange(1, 10_000), help=f"How many at most.  [default: {PAGE}]")
@click.option("--before", type=click.UUID, metavar="ID", help="Only those before the event with this id: the next page.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many.")
@click.option("--follow", is_flag=True, help="Go on with those that arrive from now on, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, with the bodies.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with the bodies.")
@action()
@filtered
def list_events(filters, limit, before, everything, follow, as_json, as_csv):
    """List events, newest first.

    A rare text takes time: all that the other options leave is read, and what is found is printed at once.
    """
    _check(follow, everything, limit, before or filters.since or filters.until, as_json and as_csv)
    arrivals = events.Arrivals(filters) if follow else None
    output = JsonLines() if as_json else Csv() if as_csv else Lines()
    before = str(before or first_id(clock.now()))  # the event of this very command is not among them
    with recorded("Watched events arrive." if follow else "Listed events.", filters.user_id):
        pass  # at its beginning: reading may take long, or end by Ctrl-C
    output.begin()
    if follow:
        _follow(arrivals, output)
    else:
        _print_found(filters, before, None if everything else limit or PAGE, output)


def _check(follow, everything, limit, bounded, two_formats):
    if follow and (everything or limit or bounded):
        raise click.UsageError("--follow tells of what arrives from now on: leave out --all, --limit, --before, --since and --until.")
    if everything and limit:
        raise click.UsageError("--all and --limit contradict each other.")
    if two_formats:
        raise click.UsageError("Give --json or --csv, not both.")


def _print_found(filters, before, left, output):
    progress, reached = Progress(), before
    with interruptible(progress, lambda: reached and f"Stopped: go on with --before {reached}"):
        for rows, last in events.walk(filters, before, events.STEP if left is None else left + 1):
            found = rows[:left]
            if found:
                progress.clear()
                output.print(found)
            left = left and left - len(found)
            reached = last if left != 0 else found[-1]["id"]
            if left == 0:
                break
            progress.show(f"Looking for more, back to {_when(last)} by now.")
    if left == 0:
        click.echo(f"There may be more: go on with --before {reached}", err=True)


def _when(identity):
    moment = moment_of(identity)
    return moment.strftime("%Y-%m-%d %H:%M") if moment else identity


def _follow(arrivals, output):
    while True:
        for rows in arrivals.next():
            if rows:
                output.print(rows)
        time.sleep(POLL)


@click.command("event")
@click.argument("event", metavar="ID")
@json_option
@action()
def show_event(event, as_json):
    """Show all of one event."""
    with recorded(f"Showed the event '{event}'."):
        found = events.by_id(event)
    if as_json:
        print_json(plain(found))
    else:
        print_wholly(found)


COMMANDS = (list_events, show_event)
