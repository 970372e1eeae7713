"""Commands about chats and what is said in them."""
import click

from admin_cli.action import action, recorded
from admin_cli.output import columns, json_option, print_fields, print_json, print_table
from admin_cli.users import LISTED, SHOWN
from proxy_gpt.rules import chats, messages

CHAT = ("id", "name", "model", "system", "user_id", "team_id", "created_at", "updated_at")
MESSAGE = ("id", "chat_id", "user_id", "prompt", "reply", "model", "otr", "status", "error", "input_tokens", "output_tokens", "created_at")
LINE = ("id", "created_at", "user_id", "status", "prompt", "reply")
LONGEST = 40  # characters of a prompt or reply in a table; --json has all of it


@click.command("chat")
@click.argument("chat", metavar="ID")
@json_option
@action()
def show_chat(chat, as_json):
    """Show a chat."""
    with recorded(f"Showed the chat '{chat}'."):
        shown = columns(chats.by_id(chat), CHAT)
    if as_json:
        print_json(shown)
    else:
        print_fields(shown)


@click.command("chat-users")
@click.argument("chat", metavar="ID")
@json_option
@action()
def list_participants(chat, as_json):
    """List who takes part in a chat: its owner, those added, and its team's members."""
    with recorded(f"Listed the users of the chat '{chat}'."):
        found = [columns(user, SHOWN) for user in chats.participants(chats.by_id(chat))]
    if as_json:
        print_json(found)
    else:
        print_table(found, LISTED)


@click.command("messages")
@click.argument("chat", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@click.option("--before", metavar="ID", default="", help="Only those that came before the message with this id.")
@json_option
@action()
def list_messages(chat, limit, before, as_json):
    """List the last messages of a chat, oldest first."""
    with recorded(f"Listed the messages of the chat '{chat}'."):
        found = [columns(row, MESSAGE) for row in messages.page(chats.by_id(chat).id, limit, before)]
    if as_json:
        print_json(found)
        return
    print_table([{**row, "prompt": _beginning(row["prompt"]), "reply": _beginning(row["reply"])} for row in found], LINE)
    if len(found) == limit:
        click.echo(f"There may be more: go on with --before {found[0]['id']}", err=True)


@click.command("delete-message")
@click.argument("message", metavar="ID")
@action()
def delete_message(message):
    """Delete a message. It is no context of later prompts any more."""
    with recorded(f"Deleted the message '{message}'."):
        messages.delete(message)
    click.echo(f"The message '{message}' is deleted.")


def _beginning(text):
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


COMMANDS = (show_chat, list_participants, list_messages, delete_message)
