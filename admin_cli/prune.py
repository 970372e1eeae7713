"""The command that deletes old events."""
import sys

import click

from admin_cli.action import action, recorded
from admin_cli.progress import Progress, interruptible
from admin_cli.times import HELP, TIME
from proxy_gpt import clock
from proxy_gpt.errors import BadRequest
from proxy_gpt.ids import moment_of
from proxy_gpt.rules import pruning


@click.command("prune")
@click.option("--older-than", "moment", type=TIME, required=True, help=f"Delete events from before then: {HELP}.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Do not ask, at a terminal.")
@action()
def prune(moment, dry_run, yes):
    """Delete old events, in small batches that the proxy beside it does not notice.

    Events of the admin command stay, and so do chats with their messages. Ctrl-C is safe; the rest can be deleted later.
    """
    if moment > clock.now():
        raise BadRequest("The option '--older-than' must be a time in the past.", "older_than")
    since = clock.to_text(moment)
    if dry_run:
        with recorded(f"Counted the events from before {since}."):
            pass
        click.echo(f"There are {_counted(moment)} events from before {since}.")
        return
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {_counted(moment)} events from before {since}?", abort=True)
    with recorded(f"Began to delete the events from before {since}."):
        pass
    _prune(moment, since)


def _counted(moment):
    progress, total = Progress(), 0
    with interruptible(progress, lambda: "Stopped: nothing was deleted."):
        for total in pruning.count(moment):
            progress.show(f"{total} events counted by now.")
    return total


def _prune(moment, since):
    progress, total = Progress(), 0
    try:
        with interruptible(progress, lambda: f"Stopped: {total} events are deleted; run the same again to go on."):
            for total, last in pruning.prune(moment):
                progress.show(f"{total} events deleted by now, up to {moment_of(last) or last}.")
    finally:
        with recorded(f"Deleted {total} events from before {since}."):
            pass
    click.echo(f"Deleted: {total} events from before {since}.")


COMMANDS = (prune,)
