"""Commands about who gets in: the sessions of a user, and whether the user may have any."""
import click

from admin_cli.action import action, recorded
from admin_cli.output import columns, json_option, print_json, print_table
from proxy_gpt.rules import sessions, users

SESSION = ("id", "created_at", "expires_at")
user_argument = click.argument("user", metavar="ID|USERNAME")


@click.command("sessions")
@user_argument
@json_option
@action()
def list_sessions(user, as_json):
    """List the sessions of a user, oldest first; expired ones are left out."""
    user = users.by_id_or_name(user)
    with recorded(f"Listed the sessions of the user '{user.username}'.", user.id):
        found = [columns(session, SESSION) for session in sessions.of(user.id)]
    if as_json:
        print_json(found)
    else:
        print_table(found, SESSION)


@click.command("revoke")
@user_argument
@click.option("--session", metavar="ID", help="Only the session with this id.")
@action()
def revoke(user, session):
    """End all sessions of a user, or one of them. The password stays good."""
    user = users.by_id_or_name(user)
    what = "all sessions" if session is None else f"the session '{session}'"
    with recorded(f"Ended {what} of the user '{user.username}'.", user.id):
        if session is None:
            sessions.end_all(user.id)
        else:
            sessions.revoke(user.id, session)
    click.echo(f"{what[0].upper()}{what[1:]} of the user '{user.username}': ended.")


@click.command("disable")
@user_argument
@action()
def disable(user):
    """Keep a user out: all sessions end, and logging in is refused until `enable`."""
    user = users.by_id_or_name(user)
    with recorded(f"Disabled the user '{user.username}'.", user.id):
        users.disable(user.id)
    click.echo(f"The user '{user.username}' is disabled; all sessions of that user are ended.")


@click.command("enable")
@user_argument
@action()
def enable(user):
    """Let a disabled user log in again."""
    user = users.by_id_or_name(user)
    with recorded(f"Enabled the user '{user.username}'.", user.id):
        users.enable(user.id)
    click.echo(f"The user '{user.username}' is enabled and may log in.")


COMMANDS = (list_sessions, revoke, disable, enable)
