"""The command that shows what is under way now, in all processes on this database."""
import contextlib
import time
from datetime import timedelta

import click

from admin_cli.action import action, recorded
from admin_cli.output import json_option, print_json, print_table
from proxy_gpt import clock
from proxy_gpt.rules import processes

COLUMNS = ("user", "kind", "endpoint", "model", "for", "bytes", "process")
NOTHING = "Nothing is under way."


@click.command("top")
@click.option("--once", is_flag=True, help="Show it once, and end.")
@click.option("--every", type=click.FloatRange(0.5, 3600), default=2, show_default=True, help="Seconds between two looks.")
@json_option
@action()
def top(once, every, as_json):
    """Show the calls, prompts and chat streams that are open, the oldest first, until Ctrl-C.

    What has been open for less than a second is left out, and so is what a process has beyond 200.
    """
    with recorded("Looked at what is under way."):
        found, left_out = processes.open_now()
    if once or as_json or not click.get_text_stream("stdout").isatty():
        _show(found, left_out, as_json)
        return
    with contextlib.suppress(KeyboardInterrupt):  # that is how one leaves
        while True:
            click.clear()
            _show(*processes.open_now())
            time.sleep(every)


def _show(found, left_out, as_json=False):
    if as_json:
        print_json(found)
        return
    if found:
        print_table([_line(item) for item in found], COLUMNS)
    else:
        click.echo(NOTHING)
    if left_out:
        click.echo(f"There are {left_out} more, all younger.", err=True)


def _line(item):
    age = clock.now() - clock.from_text(item["since"])
    return {
        "user": item["username"] or item["user_id"] or "", "kind": item["kind"], "endpoint": item["endpoint"], "model": item["model"],
        "for": str(timedelta(seconds=max(0, int(age.total_seconds())))), "bytes": item["bytes"], "process": item["process"],
    }  # fmt: skip


COMMANDS = (top,)
