"""/chat/*: making, reading, changing and deleting chats, and who takes part."""
from flask import Blueprint, g

from proxy_gpt import fields, views
from proxy_gpt.events import proxy
from proxy_gpt.pubsub import CHANGED
from proxy_gpt.rules import chats, messages, teams, users

blueprint = Blueprint("chat", __name__, url_prefix="/chat")
READ = ("GET", "POST")
PAGE, MOST = 100, 1000  # chats or messages in an answer


@blueprint.post("/create")
def create():
    """Make a chat, alone or in a team of the caller's."""
    form = fields.read()
    team_id = form.text("team_id", "")
    team = teams.seen_by(g.caller.user_id, team_id, "team_id") if team_id else None
    name, model = form.text("name", "") or "general", form.text("model", "") or proxy().upstream.usual_model
    return views.chat(chats.create(g.caller.user_id, name, model, form.text("system", ""), team))


@blueprint.route("/read", methods=READ)
def read():
    """A chat, a page of its messages (oldest first; the last ones, or those before `before`), and who takes part."""
    form = fields.read()
    limit, before = form.whole("limit", PAGE, 1, MOST), form.text("before", "")
    chat = chats.seen_by(g.caller.user_id, chat_id(form))
    return {
        "chat": views.chat(chat),
        "messages": [views.message(row) for row in messages.page(chat.id, limit, before)],
        "users": [views.user(row) for row in chats.participants(chat)],
    }


@blueprint.post("/update")
def update():
    """Change the name, model or system prompt of one's chat."""
    form = fields.read()
    changes = {name: form.text(name, None) for name in ("name", "model", "system")}
    return {"chat": views.chat(chats.update(g.caller.user_id, chat_id(form), **changes))}


@blueprint.post("/delete")
def delete():
    """Delete one's chat with all its messages."""
    identity = chat_id(fields.read())
    chats.delete(g.caller.user_id, identity)
    proxy().contexts.forget(identity)
    proxy().hub.publish(identity, CHANGED)
    return {}


@blueprint.route("/index", methods=READ)
def index():
    """The caller's chats, last active first; a page of them, or those after the chat `before`."""
    form = fields.read()
    limit, before = form.whole("limit", PAGE, 1, MOST), form.text("before", "")
    return {"chats": [views.chat(row) for row in chats.index(g.caller.user_id, limit, before)]}


@blueprint.post("/user/add")
def add_user():
    """Let a user take part in one's chat."""
    form = fields.read()
    identity = chat_id(form)
    chats.owned_by(g.caller.user_id, identity)
    chats.add(g.caller.user_id, identity, person(form))
    return {}


@blueprint.post("/user/remove")
def remove_user():
    """Take a user out of one's chat, or oneself out of another's."""
    form = fields.read()
    identity = chat_id(form)
    chats.seen_by(g.caller.user_id, identity)
    chats.remove(g.caller.user_id, identity, person(form))
    proxy().hub.publish(identity, CHANGED)
    return {}


def chat_id(form):
    """The id of the chat that a request is about; in the seed some name it `id` and some `chat_id`."""
    return form.first("id", "chat_id")


def person(form):
    """The one user whom `user_id` or `username` names. Raises BadRequest."""
    name = form.text("username", None)
    return users.named(**({"username": [name]} if name else {"user_id": [form.text("user_id")]}))[0]
