"""The command about the tables themselves."""
import click

from admin_cli.action import action, recorded
from proxy_gpt.migrations import NEWEST


@click.command("migrate")
@action(creates=True)
def migrate():
    """Make the tables, or bring them to the version of this program, as the server does when it starts."""
    with recorded(f"Saw to it that the tables are of version {NEWEST}."):
        click.echo(f"The tables are of version {NEWEST}.")  # opening the database, as for every command, has made them so


COMMANDS = (migrate,)
