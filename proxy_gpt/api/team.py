"""/team/*: teams and who is in them."""
from dataclasses import replace

from flask import Blueprint, g

from proxy_gpt import fields, views
from proxy_gpt.answers import answers
from proxy_gpt.errors import Forbidden, NotFound
from proxy_gpt.current import proxy
from proxy_gpt.fields import REQUIRED, Text, Texts, takes
from proxy_gpt.pubsub.subscriber import CHANGED
from proxy_gpt.rules import chats, teams, users

blueprint = Blueprint("team", __name__, url_prefix="/team")
READ = ("GET", "POST")
ID = Text("id", "The team's id.", also=("team_id",))
NAME = Text("name", "What the team is called, in one line.", None, 1, teams.LONGEST_NAME)
DESCRIPTION = Text("description", "What the team is about.", None, most=teams.LONGEST_DESCRIPTION)
PEOPLE = (
    Texts("user_ids", "The ids of users.", users.MOST_NAMED),
    Texts("usernames", "The names of users, beside their ids or in place of them.", users.MOST_NAMED),
    Texts("user_id", "The same as `user_ids`.", users.MOST_NAMED),
)
SOMEBODY = (replace(PEOPLE[0], default=REQUIRED, unless=("usernames", "user_id")), *PEOPLE[1:])


@blueprint.post("/create")
@takes(replace(NAME, default=REQUIRED), DESCRIPTION, *PEOPLE)
@answers(views.TEAM)
def create():
    """Make a team, with the caller as its owner, and others in it."""
    form = fields.read()
    people = users.named(**named(form)) if any(named(form).values()) else ()
    team = teams.create(g.caller.user_id, form.name, form.description or "", people)
    forget_callers()
    return views.team(team)


@blueprint.route("/read", methods=READ)
@takes(ID)
@answers({"team": views.TEAM}, NotFound)
def read():
    """A team of the caller's."""
    return {"team": views.team(teams.seen_by(g.caller.user_id, fields.read().id))}


@blueprint.post("/update")
@takes(ID, NAME, DESCRIPTION)
@answers({"team": views.TEAM}, Forbidden, NotFound)
def update():
    """Change the name or description of one's team."""
    form = fields.read()
    changes = {"name": form.name, "description": form.description}
    return {"team": views.team(teams.update(g.caller.user_id, form.id, **changes))}


@blueprint.post("/delete")
@takes(ID)
@answers({}, Forbidden, NotFound)
def delete():
    """Delete one's team with all its chats."""
    identity = fields.read().id
    chat_ids = chats.ids_of_team(identity)
    teams.delete(g.caller.user_id, identity)
    forget_callers()
    for chat_id in chat_ids:
        proxy().contexts.forget(chat_id)
    tell(chat_ids)
    return {}


@blueprint.route("/index", methods=READ)
@takes()
@answers({"teams": [views.TEAM]})
def index():
    """The caller's teams, oldest first."""
    fields.read()
    return {"teams": [views.team(row) for row in teams.of(g.caller.user_id)]}


@blueprint.route("/members", methods=READ)
@takes(ID)
@answers({"users": [views.USER]}, NotFound)
def members():
    """Who is in a team of the caller's."""
    return {"users": [views.user(row) for row in teams.members(g.caller.user_id, fields.read().id)]}


@blueprint.post("/members/add")
@takes(ID, *SOMEBODY)
@answers({}, Forbidden, NotFound)
def add_members():
    """Let users into one's team, all or none."""
    form = fields.read()
    team = teams.owned_by(g.caller.user_id, form.id)
    teams.add(g.caller.user_id, team.id, users.named(**named(form)))
    forget_callers()
    return {}


@blueprint.post("/members/remove")
@takes(ID, *SOMEBODY)
@answers({}, Forbidden, NotFound)
def remove_members():
    """Take users out of one's team, or oneself out of another's."""
    form = fields.read()
    team = teams.seen_by(g.caller.user_id, form.id)
    teams.remove(g.caller.user_id, team.id, users.named(**named(form)))
    forget_callers()
    tell(chats.ids_of_team(team.id))
    return {}


def named(form):
    """The users a request names, by the field they are named in."""
    return {"user_ids": form.user_ids, "usernames": form.usernames, "user_id": form.user_id}


def forget_callers():
    """Who is in which team has changed, and callers remember theirs: here it counts at once, elsewhere in half a second."""
    proxy().callers.clear()


def tell(chat_ids):
    """Let the chats' subscribers see whether they still may listen."""
    for chat_id in chat_ids:
        proxy().hub.publish(chat_id, CHANGED)
