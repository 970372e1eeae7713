"""Sessions: opaque tokens, of which the database keeps the digest."""
import hashlib
import secrets
from datetime import timedelta

from peewee import JOIN

from proxy_gpt import clock
from proxy_gpt.db import connection
from proxy_gpt.errors import NotFound
from proxy_gpt.models import Session, TeamMember, User

MOST_TEAMS = 1000  # that a caller is known to be in; of further ones the table must be asked


@connection()
def open_one(user, days):
    """Start a session of so many days and return its token, which is shown this once."""
    token = secrets.token_urlsafe(32)
    Session.create(digest=digest(token), user=user.id, expires_at=clock.now() + timedelta(days=days))
    return token


@connection()
def find(token_digest):
    """The session with its user, in one query; None when it has ended or its user is disabled."""
    return Session.select(Session, User).join(User).where(Session.digest == token_digest, *_in_use()).first()


@connection()
def find_with_teams(token_digest):
    """What `find` finds, in one query too, as (user id, username key, expiry, policy for the log, ids of the teams, first joined first)."""
    query = Session.select(User.id, User.username_key, Session.expires_at, User.capture, TeamMember.team).join(User)
    query = query.join(TeamMember, JOIN.LEFT_OUTER, on=(TeamMember.user == User.id)).where(Session.digest == token_digest, *_in_use())
    rows = list(query.order_by(TeamMember.created_at, TeamMember.id).limit(MOST_TEAMS).tuples())
    return (*rows[0][:4], tuple(team_id for *_, team_id in rows if team_id)) if rows else None


@connection()
def in_use(token_digests):
    """Those of the digests, a set of some hundreds at most, whose sessions `find` would find; one query for all."""
    found = Session.select(Session.digest).join(User).where(Session.digest.in_(list(token_digests)), *_in_use())
    return {digest for (digest,) in found.tuples()}


@connection()
def of(user_id):
    """A user's sessions that have not expired, oldest first."""
    return list(Session.select().where(Session.user == user_id, Session.expires_at > clock.now()).order_by(Session.id))


@connection()
def drop_expired():
    """Delete all sessions whose time is over."""
    Session.delete().where(Session.expires_at <= clock.now()).execute()


@connection()
def end(token_digest):
    """End one session; that it is not there is no error."""
    Session.delete().where(Session.digest == token_digest).execute()


@connection()
def end_all(user_id, keep_digest=None):
    """End all sessions of a user, but for one."""
    ended = Session.delete().where(Session.user == user_id)
    if keep_digest is not None:
        ended = ended.where(Session.digest != keep_digest)
    ended.execute()


@connection()
def revoke(user_id, session_id):
    """End the one session of a user that has this id. Raises NotFound."""
    if not Session.delete().where(Session.user == user_id, Session.id == session_id).execute():
        raise NotFound(f"The user has no session with the id '{session_id}'. The command 'sessions' lists them.", "session")


def digest(token):
    """What is kept of a token. It has 256 random bits, so that a plain SHA-256 cannot be turned back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _in_use():
    return Session.expires_at > clock.now(), User.disabled_at.is_null()
