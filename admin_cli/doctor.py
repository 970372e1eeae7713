"""The command that looks whether all is well."""
import dataclasses

import click

from admin_cli.action import recorded
from admin_cli.output import json_option, print_json, printable
from proxy_gpt import config
from proxy_gpt.setting_values import check_database

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@json_option
def doctor(as_json):
    """Look at settings, database, journal, Redis and upstream, and say what to do. The exit status is 1 where there is a problem.

    Run it where the server runs, with its settings. It makes and upgrades nothing, and asks the upstream one question.
    """
    found = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            level = click.style(f"{finding.level:8}", fg=COLOURS[finding.level])
            click.echo(f"{level} {finding.about}: {printable(finding.text)}")
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in found])
    if any(finding.level == "problem" for finding in found):
        click.get_current_context().exit(1)


def _findings():
    from proxy_gpt import checkup  # here, since it loads what talks to the upstream, which no other command needs

    settings, faults = config.survey()
    option = click.get_current_context().obj
    if option is not None:
        settings = dataclasses.replace(settings, database=check_database(option, "--database"))
    return checkup.examine(settings, faults, option is not None, _leave_trace)


def _leave_trace():
    with recorded("Looked whether all is well."):
        pass


COMMANDS = (doctor,)
