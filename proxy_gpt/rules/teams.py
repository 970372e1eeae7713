"""Teams: who is in them, and what each may do. Members see a team, its owner changes it, strangers know of none."""
from proxy_gpt import clock
from proxy_gpt.db import connection, transaction
from proxy_gpt.errors import BadRequest, Forbidden, NotFound
from proxy_gpt.models import Chat, Team, TeamMember, User
from proxy_gpt.rules import limits, messages, names

LONGEST_NAME = 30
LONGEST_DESCRIPTION = 256
MOST_MEMBERS = 1000


@connection()
def of(user_id):
    """The teams a user is a member of, oldest first."""
    return list(Team.select().join(TeamMember).where(TeamMember.user == user_id).order_by(Team.id))


@connection()
def by_id(team_id):
    """The team, for the operator. Raises NotFound."""
    team = Team.get_or_none(Team.id == team_id)
    if team is None:
        raise NotFound(f"There is no team with the id '{team_id}'.", "team")
    return team


@connection()
def seen_by(user_id, team_id, field="id"):
    """The team, if the user is a member. Raises NotFound otherwise, whether or not there is such a team."""
    team = Team.get_or_none(Team.id == team_id)
    if team is None or not TeamMember.select().where(TeamMember.team == team_id, TeamMember.user == user_id).exists():
        raise NotFound(f"There is no such team, or you are not in it: '{field}' must be the id of one of yours.", field)
    return team


@connection()
def owned_by(user_id, team_id, field="id"):
    """The team, if the user owns it. Raises NotFound for strangers, Forbidden for other members."""
    team = seen_by(user_id, team_id, field)
    if team.owner_id != user_id:
        raise Forbidden("Only the owner of the team may do this. Ask the user whose id is the team's owner_id.")
    return team


@connection()
def members(user_id, team_id):
    """The users in a team, in the order of their coming in. Raises NotFound for strangers."""
    team = seen_by(user_id, team_id)
    return list(User.select().join(TeamMember).where(TeamMember.team == team.id).order_by(TeamMember.created_at, TeamMember.id))


def create(user_id, name, description, people=()):
    """A new team with its owner as the first member, and these people. Raises BadRequest."""
    values = _checked(name=name, description=description)
    with transaction():
        team = Team.create(owner=user_id, **values)
        _let_in(team.id, [user_id, *(person.id for person in people)])
    return team


def update(user_id, team_id, **changes):
    """Change the `name` or `description` of one's team; None leaves it. Returns the team. Raises as `owned_by`."""
    values = _checked(**{name: value for name, value in changes.items() if value is not None})
    with transaction():
        _lock(team_id)
        owned_by(user_id, team_id)
        if values:
            Team.update(updated_at=clock.now(), **values).where(Team.id == team_id).execute()
        return seen_by(user_id, team_id)


def delete(user_id, team_id):
    """Delete one's team; its chats go with it, as by `chats.delete`. Raises as `owned_by`."""
    owned_by(user_id, team_id)
    messages.delete_of(_chats(team_id))
    with transaction():
        _lock(team_id)
        owned_by(user_id, team_id)
        # The chats first: who changes one locks it and then looks at its team, and two who lock in opposite order wait for ever.
        Chat.delete().where(Chat.team == team_id).execute()
        Team.delete().where(Team.id == team_id).execute()
        limits.forget(f"team:{team_id}")


def add(user_id, team_id, people):
    """Let people into one's team, all or none; members stay. Raises as `owned_by`, BadRequest when it would be too full."""
    with transaction():
        _lock(team_id)
        owned_by(user_id, team_id)
        _let_in(team_id, [person.id for person in people])


def remove(user_id, team_id, people):
    """Take people out of one's team, or oneself out of another's, all or none. Raises as `owned_by`, BadRequest for its owner."""
    ids = {person.id for person in people}  # somebody may be named in more than one way
    with transaction():
        _lock(team_id)
        team = seen_by(user_id, team_id) if ids == {user_id} else owned_by(user_id, team_id)
        if team.owner_id in ids:
            raise BadRequest("The owner of the team cannot be removed from it. Delete the team instead.", "user_ids")
        TeamMember.delete().where(TeamMember.team == team_id, TeamMember.user.in_(list(ids))).execute()


@connection()
def _chats(team_id):
    return [chat.id for chat in Chat.select(Chat.id).where(Chat.team == team_id)]


def _lock(team_id):
    """Until the transaction ends, nobody else changes the team (SQLite knows no SELECT FOR UPDATE)."""
    Team.update(updated_at=Team.updated_at).where(Team.id == team_id).execute()


def _let_in(team_id, user_ids):
    there = {member.user_id for member in TeamMember.select(TeamMember.user).where(TeamMember.team == team_id)}
    new = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in there]
    if len(there) + len(new) > MOST_MEMBERS:
        raise BadRequest(f"A team has at most {MOST_MEMBERS} members. Make another team.", "user_ids")
    if new:
        TeamMember.insert_many([{"team": team_id, "user": user_id} for user_id in new]).execute()


def _checked(**values):
    if "name" in values:
        values["name"] = names.checked_line("name", values["name"], LONGEST_NAME, shortest=1)
    if "description" in values:
        values["description"] = names.checked_text("description", values["description"].strip(), LONGEST_DESCRIPTION)
    return values
