"""Commands about the chain of admin events."""
import click

from admin_cli.action import action, recorded
from admin_cli.progress import Progress, interruptible
from proxy_gpt.errors import ChainBroken
from proxy_gpt.rules.chain import Check


@click.group("audit")
def audit():
    """Look after the trace that the admin command leaves: each of its events is chained to the one before by a digest."""


@audit.command("verify")
@click.option("--head", metavar="DIGEST", help="A digest that this command printed before, and that was kept elsewhere.")
@action()
def verify(head):
    """Find what was changed, taken away, put in or moved in the chain, and print its end, to be kept elsewhere.

    Who can write to the database can make the whole chain anew, or cut it off; only --head finds that.
    """
    with recorded("Verified the chain of admin events."):
        pass
    check, progress = Check(head), Progress()
    with interruptible(progress, lambda: "Stopped: the chain was not looked at to its end."):
        for number in check.run():
            progress.show(f"{number} of {check.number} events verified by now.")
    for fault in check.faults:
        click.echo(fault)
    if check.faults:
        raise ChainBroken(f"The chain of admin events is broken; faults found: {len(check.faults)}.")
    click.echo(f"The chain of {check.number} admin events is whole. Keep its end elsewhere, for the option --head:\n{check.digest}")


COMMANDS = (audit,)
