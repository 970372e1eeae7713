"""Commands about people."""
import click

from admin_cli.action import action, recorded
from admin_cli import limits
from admin_cli.output import columns, json_option, print_fields, print_json, print_table
from admin_cli.passwords import new_password
from proxy_gpt.eventlog.policy import POLICIES
from proxy_gpt.rules import passwords, teams, users

LISTED = ("id", "username", "first_name", "last_name", "created_at")
DEFAULT = "default"
SHOWN = (*LISTED, "updated_at", "disabled_at")


@click.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@click.option("--after", metavar="ID", default="", help="Only those who came after the user with this id.")
@click.option("--search", metavar="TEXT", default="", help="Only those with this text in the username, first or last name.")
@json_option
@action()
def list_users(limit, after, search, as_json):
    """List the users, oldest first."""
    with recorded("Listed users."):
        found = users.search(search, limit + 1, after)
    page = [columns(user, SHOWN) for user in found[:limit]]
    if as_json:
        print_json(page)
        return
    print_table(page, LISTED)
    if len(found) > limit:
        click.echo(f"There are more: go on with --after {page[-1]['id']}", err=True)


@click.command("user")
@click.argument("user", metavar="ID|USERNAME")
@json_option
@action()
def show_user(user, as_json):
    """Show a user, with the teams the user is in, and the limits of all with what is used of them."""
    user = users.by_id_or_name(user)
    user_teams = teams.of(user.id)
    own, of_teams = limits.of_user(user.id, [team.id for team in user_teams])  # before the transaction: the ledger has one of its own
    with recorded(f"Showed the user '{user.username}'.", user.id):
        shown = {**columns(user, SHOWN), "capture": user.capture or DEFAULT}
    if as_json:
        print_json({**shown, "teams": [{"id": team.id, "name": team.name, "limits": of_teams[team.id]} for team in user_teams], "limits": own})
        return
    shown["teams"] = ", ".join(f"{team.name} ({team.id})" for team in user_teams)
    shown |= {limit["limit"]: limits.sentence(limit) for limit in own}
    shown |= {f"{limit['limit']} of the team {team_id}": limits.sentence(limit) for team_id, found in of_teams.items() for limit in found}
    print_fields(shown)


@click.command("create")
@click.argument("username")
@new_password
@click.option("--first-name", default="", help="The first name of the user.")
@click.option("--last-name", default="", help="The last name of the user.")
@action(creates=True)
def create_user(username, password, shortest, first_name, last_name):
    """Make a new user. Without PASSWORD it is asked for."""
    user = users.prepare(username, password, first_name, last_name, shortest)
    with recorded(f"Created the user '{user.username}'.", user.id):
        users.insert(user)
    click.echo(f"The user '{user.username}' is created, with the id {user.id}.")


@click.command("reset")
@click.argument("username")
@new_password
@action()
def reset_password(username, password, shortest):
    """Give a user a new password and end all sessions of that user. Without PASSWORD it is asked for."""
    user = users.by_name(username)
    password_hash = passwords.digest(password, shortest)
    with recorded(f"Gave the user '{user.username}' a new password and ended all sessions of that user.", user.id):
        users.set_password(user.id, password_hash)
    click.echo(f"The user '{user.username}' has a new password; all sessions of that user are ended.")


@click.command("capture")
@click.argument("user", metavar="ID|USERNAME")
@click.argument("policy", type=click.Choice([*POLICIES, DEFAULT]))
@action()
def set_capture(user, policy):
    """Choose what the event log keeps of a user's requests from now on.

    full: all; metadata: no bodies, parameters and messages; none: what is counted and nothing else; default: as the setting CAPTURE says.
    """
    user = users.by_id_or_name(user)
    with recorded(f"Chose that the event log keeps of the user '{user.username}': {policy}.", user.id):
        users.set_capture(user.id, None if policy == DEFAULT else policy)
    click.echo(f"The event log keeps of the user '{user.username}' from now on: {policy}.")


COMMANDS = (list_users, show_user, create_user, reset_password, set_capture)
