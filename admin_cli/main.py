"""The command itself: its options, its groups of commands, and how errors end it."""
import sys

import click
import peewee

from admin_cli import audit, chats, doctor, doors, events, limits, live, prune, schema, usage, users
from admin_cli.output import printable
from proxy_gpt.errors import ProxyError, SettingError

NOT_OURS = "The database does not take this command: check its address, that it is the proxy's own, and that you may write to it."

INTERRUPTED = 130  # what a shell calls a command that Ctrl-C ended


class OneSentence(click.ClickException):
    """What went wrong, as one line on stderr; the exit status is 1."""

    def show(self, file=None):
        """Print it."""
        click.echo(f"proxy-admin: {printable(self.message)}", err=True)


class Admin(click.Group):
    """The group that turns the errors of rules and settings into sentences."""

    def invoke(self, context):
        """Run the command."""
        try:
            return super().invoke(context)
        except (ProxyError, SettingError) as error:
            raise OneSentence(str(error)) from None
        except peewee.PeeweeException:  # its text may hold the database's password, or what a row holds
            raise OneSentence(NOT_OURS) from None
        except KeyboardInterrupt:  # the command itself has said how far it came
            context.exit(INTERRUPTED)


@click.group(cls=Admin, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--database", metavar="URL",
    help="postgresql://user:password@host/name or sqlite:///path. Default: the server's own settings (DB_ADDRESS, "
    "DATABASE_URL, the file .env), else proxy.db in this folder.",
)  # fmt: skip
@click.pass_context
def main(context, database):
    """Look after the users and chats of Proxy GPT, at its database. Every command leaves an event of the kind "admin"."""
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name gets it in another spelling
    context.obj = database


GROUPS = (users, doors, limits, chats, events, usage, live, doctor, prune, audit, schema)
for command in (command for group in GROUPS for command in group.COMMANDS):
    main.add_command(command)

if __name__ == "__main__":
    main()
