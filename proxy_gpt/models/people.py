"""People, their sessions, and the teams they are in."""
from peewee import CharField, ForeignKeyField

from proxy_gpt.models.base import Changing, Moment, Row

LONGEST_KEY = 508  # folding can lengthen a name of 254 characters


class User(Changing):
    """A person who signed up. Names are taken whatever their case: `username_key` is the folded one."""

    username = CharField(254)
    username_key = CharField(LONGEST_KEY, unique=True)
    password_hash = CharField(255)
    first_name = CharField(254, default="")
    last_name = CharField(254, default="")
    disabled_at = Moment(null=True)  # since when the operator keeps this user out
    capture = CharField(16, null=True)  # what the event log may keep of this user's requests, where not what it keeps of all

    class Meta:
        table_name = "users"


class Session(Row):
    """A login. Only the token's digest is kept: who reads the database cannot use it."""

    digest = CharField(64, unique=True)
    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    expires_at = Moment(index=True)

    class Meta:
        table_name = "sessions"


class Team(Changing):
    """People who share chats. The owner is a member like the others."""

    name = CharField(30)
    description = CharField(256, default="")
    owner = ForeignKeyField(User, backref="owned_teams", on_delete="CASCADE")

    class Meta:
        table_name = "teams"


class TeamMember(Row):
    """That a user is in a team."""

    team = ForeignKeyField(Team, backref="memberships", on_delete="CASCADE")
    user = ForeignKeyField(User, backref="memberships", on_delete="CASCADE")

    class Meta:
        table_name = "team_members"
        indexes = ((("team", "user"), True),)
