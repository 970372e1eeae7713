"""Who is calling: bearer token, basic auth or cookie; every endpoint is closed unless it says that it is open."""
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

import gevent
from flask import current_app, g, request

from proxy_gpt import clock, cross_site, db, incoming
from proxy_gpt.current import proxy
from proxy_gpt.errors import PageOfAnotherSite, Unauthorized, Unavailable
from proxy_gpt.rules import limits, sessions, teams, users

COOKIE = "sess"
TEAM_HEADER = "HTTP_X_PROXY_TEAM"  # as WSGI writes x-proxy-team, which names the team that a call is charged to
FRESH = 0.5  # seconds for which a session just read is believed: a logout elsewhere is felt within this time
STALE = 300  # seconds for which it is still believed while the database is away
PATIENCE = 5  # seconds that who is not remembered waits for the database at most
KNOWN_PATIENCE = 1  # seconds that one who is waits, once: then the database is taken to be away until it is seen to be there
MOST = 10_000  # sessions remembered; the longest unused one is forgotten first


@dataclass(frozen=True, slots=True)
class Caller:
    """A session in use, and whose it is."""

    user_id: str
    username_key: str
    digest: str
    expires_at: datetime
    team_ids: tuple = ()  # first joined first
    capture: str | None = None  # the user's own policy for the event log
    caps: dict = field(default_factory=dict)  # see `limits.caps_of`; empty for who has no limits


def open_to_everyone(view):
    """Mark a view as needing no session."""
    view.open_to_everyone = True
    return view


def require_session():
    """Before each request: find out who calls, unless the endpoint is open. Raises Unauthorized."""
    view = current_app.view_functions.get(request.endpoint)
    if view is not None and not getattr(view, "open_to_everyone", False):
        g.caller = identify()
        g.event.of(g.caller.user_id, g.caller.capture)


def identify(parameter=None):
    """The caller of the current request; `parameter` is a token to take when there is none elsewhere. Raises Unauthorized."""
    username, token = credential()
    if token and by_cookie():
        if not cross_site.is_own_page():
            if not parameter:
                raise PageOfAnotherSite(cross_site.REFUSED)
            token = None  # a page of another site may listen with a token that it has itself
        elif request.path.startswith("/v1/") and cross_site.is_shown():
            raise Unauthorized("Below /v1/ the cookie does not count for what a browser shows. Send 'Authorization: Bearer TOKEN'.")
    token = token or parameter
    if not token:
        raise Unauthorized("There is no token in this request. Send 'Authorization: Bearer TOKEN' with the token from /user/login.")
    caller = proxy().callers.find(sessions.digest(token))
    if caller is None or (username is not None and users.key(username) != caller.username_key):
        raise Unauthorized("The token is wrong or has expired. Log in again at /user/login for a new one.")
    incoming.let_go()
    return caller


def credential():
    """(username or None, token or None) as sent: bearer, then basic, then the cookie."""
    authorization = request.authorization
    if authorization is not None and authorization.type == "bearer":
        return None, authorization.token
    if authorization is not None and authorization.type == "basic":
        return authorization.username, authorization.password
    return None, request.cookies.get(COOKIE)


def by_cookie():
    """Whether the credential of this request is the cookie, which a browser sends along whoever wrote the page."""
    return request.authorization is None or request.authorization.type not in ("bearer", "basic")


def charged_team():
    """The id of the team that the current request is charged to: the one it names, else the one joined first, or None.

    Raises NotFound when it names one that the caller is not in.
    """
    named = request.environ.get(TEAM_HEADER)
    if not named:
        return next(iter(g.caller.team_ids), None)
    if named not in g.caller.team_ids:  # somebody who was let in a moment ago may be
        teams.seen_by(g.caller.user_id, named, "x-proxy-team")
    return named


def caps_for(team_id):
    """The limits that the current request comes under when it is charged to this team (or None), as the ledger's caps."""
    caps = g.caller.caps
    if team_id is not None and team_id not in g.caller.team_ids:  # the chat's team, or one joined a moment ago
        caps = limits.caps_of(g.caller.user_id, limits.that_hold(g.caller.user_id, [team_id]))
    return caps.get(team_id) or caps.get(None, ())


class Callers:
    """The sessions seen lately, so that a busy caller costs the database one look-up in half a second."""

    def __init__(self):
        self.seen = OrderedDict()

    def find(self, digest):
        """The caller with this token digest or None. Raises Unavailable when neither memory nor database can say."""
        caller, read_at = self.seen.get(digest, (None, float("-inf")))
        age = time.monotonic() - read_at
        if age > FRESH:
            caller = self._look_again(digest, caller) if caller and age <= STALE else self._look_up(digest, PATIENCE)
        if caller is not None and caller.expires_at <= clock.now():
            return None
        return caller

    def forget(self, digest):
        """A session has ended in this process: believe it no longer."""
        self.seen.pop(digest, None)

    def clear(self):
        """Many sessions have ended in this process."""
        self.seen.clear()

    def _look_again(self, digest, remembered):
        """The caller as the database has it now, else as it was: who is known does not wait for a database that is away."""
        if db.is_doubted():
            return remembered
        try:
            return self._look_up(digest, KNOWN_PATIENCE)
        except Unavailable:
            return remembered

    def _look_up(self, digest, patience):
        # In a greenlet of its own: one that is to give up must not itself wait until a hanging connection is closed.
        try:
            found, error = gevent.spawn(_found, digest).get(timeout=patience)
        except gevent.Timeout:
            db.suspect()
            raise Unavailable(db.AWAY) from None
        if error:
            raise error
        return self._keep(digest, found)

    def _keep(self, digest, found):
        self.seen.pop(digest, None)
        if found is None:
            return None
        user_id, username_key, expires_at, capture, team_ids, caps = found
        caller = Caller(user_id, username_key, digest, expires_at, team_ids, capture, caps)
        self.seen[digest] = caller, time.monotonic()
        if len(self.seen) > MOST:
            self.seen.popitem(last=False)
        return caller


def _found(digest):
    """(what is found or None, None) or (None, the Unavailable that came instead: gevent would print it)."""
    try:
        return _with_caps(digest), None
    except Unavailable as error:
        return None, error


@db.connection()
def _with_caps(digest):
    found = sessions.find_with_teams(digest)
    if found is None:
        return None
    user_id, *_, team_ids = found
    return *found, limits.caps_of(user_id, limits.that_hold(user_id, team_ids))
