"""/user/*: signing up, logging in and out, and one's own account."""
from urllib.parse import urlsplit

from flask import Blueprint, g, jsonify, make_response, redirect, request

from proxy_gpt import auth, cross_site, fields, views
from proxy_gpt.config import CLOSED
from proxy_gpt.errors import BadRequest, Forbidden
from proxy_gpt.events import audited, proxy
from proxy_gpt.rules import sessions, teams, users

blueprint = Blueprint("user", __name__, url_prefix="/user")
READ = ("GET", "POST")


@blueprint.post("/signup")
@auth.open_to_everyone
@audited("signup")
def signup():
    """Make an account and log it in."""
    cross_site.require_own_page()
    if settings().signup == CLOSED:
        raise Forbidden("Nobody can sign up here. Ask the proxy's operator for an account.")
    form = fields.read()
    target = redirect_target(form)
    values = form.text("username"), form.text("password"), form.text("first_name", ""), form.text("last_name", "")
    proxy().attempts.signup(g.event.client_ip)
    user = users.create(*values, shortest_password=settings().password_min_length)
    proxy().attempts.remember(user.username_key, g.event.client_ip)
    return logged_in(user, target)


@blueprint.post("/login")
@auth.open_to_everyone
@audited("login")
def login():
    """Start a session."""
    cross_site.require_own_page()
    form = fields.read()
    target = redirect_target(form)
    username, password = form.text("username"), form.text("password")
    with proxy().attempts.password(users.key(username), g.event.client_ip) as look_again:
        user = users.authenticate(username, password, look_again)
    return logged_in(user, target)


@blueprint.route("/logout", methods=READ)
@auth.open_to_everyone
@audited("logout")
def logout():
    """End the session of the token in the body, else of the bearer token or basic auth, else of the cookie."""
    cross_site.require_own_page(links=False)
    token = fields.read().text("token", None) or auth.credential()[1]
    if token:
        caller = proxy().callers.find(sessions.digest(token))
        g.event.user_id = caller and caller.user_id
        sessions.end(sessions.digest(token))
        proxy().callers.forget(sessions.digest(token))
        if caller:
            proxy().hub.look_again(caller.user_id)
    response = jsonify({})
    response.delete_cookie(auth.COOKIE, path="/", httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@blueprint.route("/session", methods=READ)
def session():
    """Who the caller is, with the caller's teams."""
    user = views.own_user(users.by_id(g.caller.user_id))
    return {"user": {**user, "teams": [{"id": team.id, "name": team.name} for team in teams.of(g.caller.user_id)]}}


@blueprint.route("/read", methods=READ)
def read():
    """The caller, or another user whom the caller shares a team or chat with."""
    user_id = fields.read().text("id", g.caller.user_id)
    user = users.visible(g.caller.user_id, user_id)
    return {"user": views.own_user(user) if user.id == g.caller.user_id else views.user(user)}


@blueprint.post("/update")
def update():
    """Change one's names."""
    form = fields.read()
    names = {name: form.text(name, None) for name in ("username", "first_name", "last_name")}
    user = users.update(g.caller.user_id, **names)
    proxy().callers.clear()  # they remember the username
    return {"user": views.own_user(user)}


@blueprint.post("/password/update")
@audited("password")
def update_password():
    """Change one's password; all other sessions of the user end."""
    form = fields.read()
    old, new = form.text("old_password"), form.text("new_password")
    with proxy().attempts.password(g.caller.username_key, g.event.client_ip) as look_again:
        users.change_password(
            g.caller.user_id, old, new, keep_session=g.caller.digest,
            shortest=settings().password_min_length, before_hash=look_again,
        )  # fmt: skip
    proxy().callers.clear()
    proxy().hub.look_again(g.caller.user_id)
    return {}


def settings():
    """The settings of this process."""
    return proxy().settings


def logged_in(user, target):
    """The answer to a signup or login: a new session's token, the user, the cookie; or the way to `target`."""
    g.event.user_id = user.id
    days = settings().session_days
    token = sessions.open_one(user, days)
    response = redirect(target) if target else make_response({"token": token, "user": views.own_user(user)})
    response.set_cookie(
        auth.COOKIE, token, max_age=days * 86400, path="/", httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response


def redirect_target(form):
    """The field `redirect_url` if it leads to this site or a host the operator listed. Raises BadRequest otherwise."""
    target = form.text("redirect_url", "")
    if target and not _stays_here(target):
        raise BadRequest("The field 'redirect_url' must be a path of this site, such as /chat.", "redirect_url")
    return target


def _stays_here(target):
    # Browsers read \ as / and drop control characters, so that /\evil and /<tab>/evil would lead elsewhere.
    if "\\" in target or not target.isprintable() or " " in target:
        return False
    try:
        url = urlsplit(target)
    except ValueError:
        return False
    if not url.scheme and not url.netloc:
        return target.startswith("/") and not target.startswith("//")
    return url.scheme in ("http", "https") and url.netloc.lower() in settings().redirect_hosts
