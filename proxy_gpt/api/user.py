"""/user/*: signing up, logging in and out, and one's own account."""
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from flask import Blueprint, g, jsonify, make_response, redirect, request

from proxy_gpt import auth, cross_site, fields, views
from proxy_gpt.answers import answers
from proxy_gpt.client_ip import why_not_local
from proxy_gpt.config import LOCAL, OPEN
from proxy_gpt.current import proxy
from proxy_gpt.errors import (
    AccountDisabled, BadRequest, Conflict, NotFound, PageOfAnotherSite, SignupClosed, TooMany, WrongOldPassword, WrongPassword,
)  # fmt: skip
from proxy_gpt.events import audited
from proxy_gpt.fields import Text, takes
from proxy_gpt.models import Kind
from proxy_gpt.rules import names, passwords, sessions, teams, users

blueprint = Blueprint("user", __name__, url_prefix="/user")
READ = ("GET", "POST")
USERNAME = Text("username", "The name to log in with; its case does not matter.", least=1, most=names.LONGEST)
PASSWORD = Text("password", "The password.", least=1, most=passwords.LONGEST)
FIRST_NAME, LAST_NAME = (Text(f"{which}_name", f"The {which} name.", None, most=names.LONGEST) for which in ("first", "last"))
REDIRECT = Text("redirect_url", "Where to go after success, a path of this site: the answer is then a redirect.", "")
LOGGED_IN = {"token": views.TEXT, "user": views.ACCOUNT}
REDIRECTED = {302: {"description": "As `redirect_url` wished.", "headers": {"Location": {"schema": views.TEXT}}}}


@blueprint.post("/signup")
@auth.open_to_everyone
@audited(Kind.SIGNUP)
@takes(USERNAME, PASSWORD, FIRST_NAME, LAST_NAME, REDIRECT)
@answers(LOGGED_IN, PageOfAnotherSite, SignupClosed, Conflict, TooMany, others=REDIRECTED)
def signup():
    """Make an account and log it in: the answer sets the cookie `sess`, too."""
    cross_site.require_own_page()
    reason = why_no_signup(settings().signup, request.environ)
    if reason:
        raise SignupClosed(f"{reason}. Ask the operator for an account ('proxy-admin create' or SIGNUP).")
    form = fields.read()
    target = redirect_target(form)
    values = form.username, form.password, form.first_name or "", form.last_name or ""
    address = g.event.client_ip
    count = partial(proxy().attempts.signup, address)  # at the last moment: what makes no account is not to use up the limit
    user = users.create(*values, shortest_password=settings().password_min_length, before_hash=count)
    proxy().attempts.remember(user.username_key, address)
    return logged_in(user, target)


def why_no_signup(mode, environ):
    """Return why this request cannot sign somebody up, "" if it can.

    `mode` is the setting SIGNUP, `environ` the request's WSGI environment.
    """
    if mode == OPEN:
        return ""
    if mode != LOCAL:
        return "Sign-up is closed"
    reason = why_not_local(environ)
    return reason and f"Sign-up is local only: {reason}"


@blueprint.post("/login")
@auth.open_to_everyone
@audited(Kind.LOGIN)
@takes(replace(USERNAME, least=0, most=None), replace(PASSWORD, least=0, most=None), REDIRECT)
@answers(LOGGED_IN, PageOfAnotherSite, WrongPassword, AccountDisabled, TooMany, others=REDIRECTED)
def login():
    """Start a session: the answer sets the cookie `sess`, too."""
    cross_site.require_own_page()
    form = fields.read()
    target = redirect_target(form)
    username, password = form.username, form.password
    with proxy().attempts.password(users.key(username), g.event.client_ip) as look_again:
        user = users.authenticate(username, password, look_again)
    return logged_in(user, target)


@blueprint.route("/logout", methods=READ)
@auth.open_to_everyone
@audited(Kind.LOGOUT)
@takes(Text("token", "The token to end, in place of the one that the request comes with.", None))
@answers({}, PageOfAnotherSite)
def logout():
    """End the session of the token in the body, else of the bearer token or basic auth, else of the cookie."""
    token = fields.read().token
    if request.method != "POST" and not token and auth.by_cookie():
        cross_site.require_own_logout()
    else:
        cross_site.require_own_page()
    token = token or auth.credential()[1]
    if token:
        caller = proxy().callers.find(sessions.digest(token))
        sessions.end(sessions.digest(token))
        proxy().callers.forget(sessions.digest(token))
        if caller:
            g.event.of(caller.user_id, caller.capture)
            proxy().hub.look_again(caller.user_id)
    response = jsonify({})
    if request.cookies.get(auth.COOKIE, token) == token:  # else it is another session's, which goes on
        response.delete_cookie(auth.COOKIE, path="/", httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@blueprint.route("/session", methods=READ)
@answers({"user": views.MEMBER})
def session():
    """Who the caller is, with the caller's teams."""
    return {"user": views.member(users.by_id(g.caller.user_id), teams.of(g.caller.user_id))}


@blueprint.route("/read", methods=READ)
@takes(Text("id", "The user's id; the caller's when it is left out.", None))
@answers({"user": views.either(views.ACCOUNT, views.USER)}, NotFound)
def read():
    """The caller, or another user whom the caller shares a team or chat with."""
    user_id = fields.read().id
    user = users.visible(g.caller.user_id, g.caller.user_id if user_id is None else user_id)
    return {"user": views.own_user(user) if user.id == g.caller.user_id else views.user(user)}


@blueprint.post("/update")
@takes(replace(USERNAME, default=None), FIRST_NAME, LAST_NAME)
@answers({"user": views.ACCOUNT}, Conflict)
def update():
    """Change one's names."""
    form = fields.read()
    user = users.update(g.caller.user_id, username=form.username, first_name=form.first_name, last_name=form.last_name)
    proxy().callers.clear()  # they remember the username
    return {"user": views.own_user(user)}


@blueprint.post("/password/update")
@audited(Kind.PASSWORD)
@takes(Text("old_password", "The password until now."), replace(PASSWORD, name="new_password", about="The password from now on."))
@answers({}, WrongOldPassword, TooMany)
def update_password():
    """Change one's password; all other sessions of the user end."""
    form = fields.read()
    old, new = form.old_password, form.new_password
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
    g.event.of(user.id, user.capture)
    days = settings().session_days
    token = sessions.open_one(user, days)
    response = redirect(target) if target else make_response({"token": token, "user": views.own_user(user)})
    response.set_cookie(
        auth.COOKIE, token, max_age=days * 86400, path="/", httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response


def redirect_target(form):
    """The field `redirect_url` if it leads to this site or a host the operator listed. Raises BadRequest otherwise."""
    target = form.redirect_url
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
