"""/team/*: teams and who is in them."""
from flask import Blueprint, g

from proxy_gpt import fields, views
from proxy_gpt.events import proxy
from proxy_gpt.pubsub import CHANGED
from proxy_gpt.rules import chats, teams, users

blueprint = Blueprint("team", __name__, url_prefix="/team")
READ = ("GET", "POST")
PEOPLE = ("user_ids", "usernames", "user_id")


@blueprint.post("/create")
def create():
    """Make a team, with the caller as its owner, and others in it."""
    form = fields.read()
    people = users.named(**named(form)) if any(named(form).values()) else ()
    return views.team(teams.create(g.caller.user_id, form.text("name"), form.text("description", ""), people))


@blueprint.route("/read", methods=READ)
def read():
    """A team of the caller's."""
    return {"team": views.team(teams.seen_by(g.caller.user_id, team_id(fields.read())))}


@blueprint.post("/update")
def update():
    """Change the name or description of one's team."""
    form = fields.read()
    changes = {name: form.text(name, None) for name in ("name", "description")}
    return {"team": views.team(teams.update(g.caller.user_id, team_id(form), **changes))}


@blueprint.post("/delete")
def delete():
    """Delete one's team with all its chats."""
    identity = team_id(fields.read())
    chat_ids = chats.ids_of_team(identity)
    teams.delete(g.caller.user_id, identity)
    for chat_id in chat_ids:
        proxy().contexts.forget(chat_id)
    tell(chat_ids)
    return {}


@blueprint.route("/index", methods=READ)
def index():
    """The caller's teams, oldest first."""
    fields.read()
    return {"teams": [views.team(row) for row in teams.of(g.caller.user_id)]}


@blueprint.route("/members", methods=READ)
def members():
    """Who is in a team of the caller's."""
    return {"users": [views.user(row) for row in teams.members(g.caller.user_id, team_id(fields.read()))]}


@blueprint.post("/members/add")
def add_members():
    """Let users into one's team, all or none."""
    form = fields.read()
    identity = team_id(form)
    teams.owned_by(g.caller.user_id, identity)
    teams.add(g.caller.user_id, identity, users.named(**named(form)))
    return {}


@blueprint.post("/members/remove")
def remove_members():
    """Take users out of one's team, or oneself out of another's."""
    form = fields.read()
    identity = team_id(form)
    teams.seen_by(g.caller.user_id, identity)
    teams.remove(g.caller.user_id, identity, users.named(**named(form)))
    tell(chats.ids_of_team(identity))
    return {}


def team_id(form):
    """The id of the team that a request is about."""
    return form.first("id", "team_id")


def named(form):
    """The users a request names, by the field they are named in."""
    return {field: form.texts(field) for field in PEOPLE}


def tell(chat_ids):
    """Let the chats' subscribers see whether they still may listen."""
    for chat_id in chat_ids:
        proxy().hub.publish(chat_id, CHANGED)
