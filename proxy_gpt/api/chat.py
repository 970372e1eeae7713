"""/chat/*: making, reading, changing and deleting chats, and who takes part."""
from dataclasses import replace

from flask import Blueprint, g

from proxy_gpt import fields, views
from proxy_gpt.answers import answers
from proxy_gpt.errors import Forbidden, NotFound
from proxy_gpt.current import proxy
from proxy_gpt.fields import Text, Whole, takes
from proxy_gpt.pubsub.subscriber import CHANGED
from proxy_gpt.rules import chats, messages, names, teams, users

blueprint = Blueprint("chat", __name__, url_prefix="/chat")
READ = ("GET", "POST")
ID = Text("id", "The chat's id.", also=("chat_id",))  # in the seed some name it so and some so
NAME = Text("name", "What the chat is called, in one line.", None, 1, names.LONGEST)
MODEL = Text("model", "The model that answers: one of the setting MODELS, or any other of the upstream's.", None, 1, names.LONGEST)
SYSTEM = Text("system", "The system prompt, which goes before all messages.", None, most=chats.LONGEST_SYSTEM)
TEAM = Text("team_id", "The team whose chat it is; its members take part. Left out, it is the caller's alone.", "")
LIMIT = Whole("limit", "How many there are in an answer.", 100, 1, 1000)
BEFORE = Text("before", "The id of the first message, or last chat, that you have: the page before, or after, it comes.", "")
PERSON = (
    Text("user_id", "The user's id.", unless=("username",)),
    Text("username", "The user's name, in place of the id or beside it.", None),
)


@blueprint.post("/create")
@takes(replace(NAME, about='What the chat is called; "general" if nothing.', least=0), replace(MODEL, least=0), TEAM, SYSTEM)
@answers(views.CHAT, NotFound)
def create():
    """Make a chat, alone or in a team of the caller's."""
    form = fields.read()
    team = teams.seen_by(g.caller.user_id, form.team_id, "team_id") if form.team_id else None
    name, model = form.name or "general", form.model or proxy().upstream.usual_model
    return views.chat(chats.create(g.caller.user_id, name, model, form.system or "", team))


@blueprint.route("/read", methods=READ)
@takes(ID, LIMIT, BEFORE)
@answers({"chat": views.CHAT, "messages": [views.MESSAGE], "users": [views.USER]}, NotFound)
def read():
    """A chat, a page of its messages (oldest first; the last ones, or those before `before`), and who takes part."""
    form = fields.read()
    limit, before = form.limit, form.before
    chat = chats.seen_by(g.caller.user_id, form.id)
    return {
        "chat": views.chat(chat),
        "messages": [views.message(row) for row in messages.page(chat.id, limit, before)],
        "users": [views.user(row) for row in chats.participants(chat)],
    }


@blueprint.post("/update")
@takes(ID, NAME, MODEL, SYSTEM)
@answers({"chat": views.CHAT}, Forbidden, NotFound)
def update():
    """Change the name, model or system prompt of one's chat."""
    form = fields.read()
    changes = {"name": form.name, "model": form.model, "system": form.system}
    return {"chat": views.chat(chats.update(g.caller.user_id, form.id, **changes))}


@blueprint.post("/delete")
@takes(ID)
@answers({}, Forbidden, NotFound)
def delete():
    """Delete one's chat with all its messages."""
    identity = fields.read().id
    chats.delete(g.caller.user_id, identity)
    proxy().contexts.forget(identity)
    proxy().hub.publish(identity, CHANGED)
    return {}


@blueprint.route("/index", methods=READ)
@takes(LIMIT, BEFORE)
@answers({"chats": [views.CHAT]}, NotFound)
def index():
    """The caller's chats, last active first; a page of them, or those after the chat `before`."""
    form = fields.read()
    return {"chats": [views.chat(row) for row in chats.index(g.caller.user_id, form.limit, form.before)]}


@blueprint.post("/user/add")
@takes(ID, *PERSON)
@answers({}, Forbidden, NotFound)
def add_user():
    """Let a user take part in one's chat."""
    form = fields.read()
    chat = chats.owned_by(g.caller.user_id, form.id)
    chats.add(g.caller.user_id, chat.id, person(form))
    return {}


@blueprint.post("/user/remove")
@takes(ID, *PERSON)
@answers({}, Forbidden, NotFound)
def remove_user():
    """Take a user out of one's chat, or oneself out of another's."""
    form = fields.read()
    chat = chats.seen_by(g.caller.user_id, form.id)
    chats.remove(g.caller.user_id, chat.id, person(form))
    proxy().hub.publish(chat.id, CHANGED)
    return {}


def person(form):
    """The one user whom `user_id` or `username` names. Raises BadRequest."""
    return users.one_named(username=form.username or None, user_id=form.user_id)
