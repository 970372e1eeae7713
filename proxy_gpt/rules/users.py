"""People: signing up, changing oneself, seeing each other."""
import unicodedata
from contextlib import contextmanager

from peewee import IntegrityError

from proxy_gpt import clock
from proxy_gpt.db import connection
from proxy_gpt.errors import AccountDisabled, BadRequest, Conflict, NotFound, WrongOldPassword, WrongPassword
from proxy_gpt.models import LONGEST_KEY, TeamMember, User, proxy
from proxy_gpt.rules import chats, names, passwords, sessions

MOST_NAMED = 1000  # users in one request
LONGEST_SHOWN = 100  # characters of a name or id that is not there, in the answer


def create(username, password, first_name="", last_name="", shortest_password=1, before_hash=None):
    """Make a new user. Raises Conflict when the name is taken, BadRequest for names and passwords that cannot be.

    `before_hash` is called when nothing but the hash is left to do, and may still refuse by raising an error.
    """
    user = prepare(username, password, first_name, last_name, shortest_password, before_hash)
    insert(user)
    return user


def prepare(username, password, first_name="", last_name="", shortest_password=1, before_hash=None):
    """A new user, checked and hashed, whom `insert` then stores: no transaction need wait for the hash. Raises as `create`."""
    values = _checked_names(username=username, first_name=first_name, last_name=last_name)
    _require_free(values["username_key"], username)  # before the hash, which costs much more
    return User(password_hash=passwords.digest(password, shortest_password, before_hash=before_hash), **values)


@connection()
def insert(user):
    """Store a prepared user. Raises Conflict when the name was taken meanwhile."""
    with _unique(user.username):
        user.save(force_insert=True)


@connection()
def update(user_id, **changes):
    """Change one's `username`, `first_name` or `last_name`; None leaves it. Raises Conflict or BadRequest."""
    values = _checked_names(**{name: value for name, value in changes.items() if value is not None})
    with _unique(values.get("username")):
        User.update(updated_at=clock.now(), **values).where(User.id == user_id).execute()
    return by_id(user_id)


@connection()
def by_id(user_id):
    """The user with this id. Raises NotFound."""
    return _found(User.get_or_none(User.id == user_id))


@connection()
def by_name(username):
    """The user of this name, whatever its case. Raises NotFound."""
    return _found(User.get_or_none(User.username_key == key(username)), f"There is no user with the name '{username}'.")


@connection()
def by_id_or_name(wanted):
    """The user with this id, else of this name. Raises NotFound."""
    user = User.get_or_none(User.id == wanted) or User.get_or_none(User.username_key == key(wanted))
    return _found(user, f"There is no user with the id or name '{wanted}'.")


@connection()
def search(text="", limit=100, after=""):
    """Up to `limit` users whose username, first or last name has this text in it, oldest first, after the one with this id.

    The case does not matter; in first and last names that holds for ASCII on SQLite.
    """
    found = User.select().where(User.id > after).order_by(User.id).limit(limit)
    if text:
        matches = User.username_key.contains(key(text)) | User.first_name.contains(text) | User.last_name.contains(text)
        found = found.where(matches)
    return list(found)


@connection()
def usernames(user_ids):
    """The usernames of those of some hundred ids at most that are users', by id."""
    return dict(User.select(User.id, User.username).where(User.id.in_(list(user_ids))).tuples()) if user_ids else {}


@connection()
def named(**fields):
    """The users whom these fields name, as lists of ids or (`username`, `usernames`) names.

    Raises BadRequest naming the field and the first of them that is not there, or when nobody is named.
    """
    people = [user for field, values in fields.items() for user in _named(field, values)]
    if not people:
        first = next(iter(fields))
        raise BadRequest(f"The field '{first}' is missing. Name at least one user.", first)
    return people


def one_named(user_id, username):
    """The user of this id, of this name, or of both; None leaves one out. Raises BadRequest naming the field."""
    given = {"user_id": user_id, "username": username}
    people = named(**{field: [value] for field, value in given.items() if value is not None})
    if people[0] != people[-1]:
        raise BadRequest("The fields 'user_id' and 'username' name two users. Send one of the fields.", "user_id")
    return people[0]


@connection()
def visible(viewer_id, user_id):
    """A user whom the viewer may see: oneself, or somebody who shares a team or chat. Raises NotFound for strangers."""
    known = user_id == viewer_id or _share_team(viewer_id, user_id) or chats.share_one(viewer_id, user_id)
    return _found(known and User.get_or_none(User.id == user_id))


def authenticate(username, password, before_hash=None):
    """The user whose name and password these are. `before_hash` is called when nothing but the hash is left to do.

    Raises WrongPassword, in the same time whichever is wrong, and AccountDisabled to none but who knows the password.
    """
    with connection():
        user = User.get_or_none(User.username_key == key(username))
    if not passwords.fits(password, user and user.password_hash, before_hash) or user is None:
        raise WrongPassword("The username or the password is wrong. Check both and try again.")
    if user.disabled_at:
        raise AccountDisabled("This account is disabled. Ask the proxy's operator to enable it.")
    return user


def change_password(user_id, old, new, keep_session, shortest, before_hash=None):
    """Change one's password and end one's other sessions. Raises WrongOldPassword, or BadRequest for a bad new one."""
    if not passwords.fits(old, by_id(user_id).password_hash, before_hash):
        raise WrongOldPassword("The field 'old_password' is not your password. Check it and try again.", "old_password")
    set_password(user_id, passwords.digest(new, shortest, field="new_password"), keep_session)


@connection()
def set_password(user_id, password_hash, keep_session=None):
    """Give the user a new password hash and end all sessions, but for the one with this token digest."""
    with proxy.atomic():
        User.update(password_hash=password_hash, updated_at=clock.now()).where(User.id == user_id).execute()
        sessions.end_all(user_id, keep_session)


@connection()
def disable(user_id):
    """Keep a user out: no login any more, and all sessions end. Doing it twice is no error."""
    with proxy.atomic():
        User.update(disabled_at=clock.now()).where(User.id == user_id, User.disabled_at.is_null()).execute()
        sessions.end_all(user_id)


@connection()
def set_capture(user_id, policy):
    """Say what the event log may keep of a user's requests from now on; None for what it keeps of all."""
    User.update(capture=policy).where(User.id == user_id).execute()


@connection()
def enable(user_id):
    """Let a user log in again."""
    User.update(disabled_at=None).where(User.id == user_id).execute()


def key(username):
    """The form in which names are compared: neither case nor the way an accent is encoded makes another name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username.strip()).casefold())


def _checked_names(**given):
    checked = {field: names.checked(field, value) for field, value in given.items()}
    if "username" in checked:
        checked["username_key"] = key(checked["username"])
        if not 1 <= len(checked["username_key"]) <= LONGEST_KEY:
            raise BadRequest(f"The field 'username' must have 1 to {names.LONGEST} printable characters.", "username")
    return checked


def _named(field, values):
    if len(values) > MOST_NAMED:
        raise BadRequest(f"The field '{field}' names more than {MOST_NAMED} users. Send fewer at once.", field)
    by_name = field.startswith("username")
    wanted = {key(value) if by_name else value: value for value in values}
    column = User.username_key if by_name else User.id
    found = {getattr(user, column.name): user for user in User.select().where(column.in_(list(wanted)))}
    for spelling, value in wanted.items():
        if spelling not in found:
            raise BadRequest(f"The field '{field}' names nobody: there is no user '{value[:LONGEST_SHOWN]}'.", field)
    return [found[spelling] for spelling in wanted]


@contextmanager
def _unique(username):
    try:
        with proxy.atomic():
            yield
    except IntegrityError as error:
        raise _taken(username) from error


@connection()
def _require_free(username_key, username):
    if User.select().where(User.username_key == username_key).exists():
        raise _taken(username)


def _taken(username):
    return Conflict(f"The username '{username.strip()}' is taken. Choose another one.", "username")


def _share_team(one, other):
    teams = TeamMember.select(TeamMember.team).where(TeamMember.user == one)
    return TeamMember.select().where(TeamMember.user == other, TeamMember.team.in_(teams)).exists()


def _found(user, otherwise="There is no such user."):
    if not user:
        raise NotFound(otherwise, "id")
    return user
