"""Limits: what a user or team may use at most, and which caps that makes for a caller.

A limit of one's own goes before the default of every user or team, each for itself: who has more requests a minute than the
others has still their budget, unless told otherwise.
"""
from collections import defaultdict

from proxy_gpt.db import connection
from proxy_gpt.ledger.entries import LENGTHS, UNLIMITED, Cap, subject
from proxy_gpt.models import Limit, Team, User, proxy

NAMES = ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "tokens_per_month", "money_per_day", "money_per_month")
EVERY = {"user": "every-user", "team": "every-team"}
BATCH = 500  # subjects in a query


@connection()
def put(whose, values):
    """Give a subject these limits by name: a number, UNLIMITED in spite of the default, or None to take its own away."""
    with proxy.atomic():
        for name, most in values.items():
            Limit.delete().where(Limit.subject == whose, Limit.name == name).execute()
            if most is not None:
                Limit.create(subject=whose, name=name, most=None if most == UNLIMITED else most)


@connection()
def everything():
    """All limits that were set, as (subject, name of the user or team, {limit: most}), the defaults first."""
    found = _by_subject(Limit.select())
    names = {subject("user", user.id): user.username for user in _owners(User, "user:", found)}
    names |= {subject("team", team.id): team.name for team in _owners(Team, "team:", found)}
    return [(whose, names.get(whose, ""), found[whose]) for whose in sorted(found, key=lambda whose: (":" in whose, whose))]


@connection()
def that_hold(user_id, team_ids=()):
    """What holds for a user, under None, and for teams, under their ids: {name: most}, where there is anything at all."""
    owners = {None: ("user", user_id), **{team_id: ("team", team_id) for team_id in team_ids}}
    asked = [*EVERY.values(), *(subject(*owner) for owner in owners.values())]
    found = {}
    for start in range(0, len(asked), BATCH):
        found |= _by_subject(Limit.select().where(Limit.subject.in_(asked[start : start + BATCH])))
    if not found:
        return {}
    limits = {key: _limited({**found.get(EVERY[owner[0]], {}), **found.get(subject(*owner), {})}) for key, owner in owners.items()}
    return {key: limit for key, limit in limits.items() if limit}


def caps_of(user_id, limits):
    """The Caps of `that_hold` for calls that are charged to a team, by its id, with the user's own; alone under None. All lock them in this order."""
    own = caps(subject("user", user_id), limits.get(None, {}))
    teams = {key: tuple(sorted((*own, *caps(subject("team", key), limit)))) for key, limit in limits.items() if key is not None}
    return {None: own, **teams} if limits else {}


def caps(whose, limit):
    """The Caps of a subject: one for each length of period that anything is said of."""
    by_period = defaultdict(dict)
    for name, most in limit.items():
        quantity, _, period = name.partition("_per_")
        by_period[period][quantity] = most
    return tuple(sorted(Cap(whose, LENGTHS[period], **most) for period, most in by_period.items()))


def forget(whose):
    """The subject is no more."""
    Limit.delete().where(Limit.subject == whose).execute()


def _owners(table, kind, subjects):
    ids = [whose.removeprefix(kind) for whose in subjects if whose.startswith(kind)]
    for start in range(0, len(ids), BATCH):
        yield from table.select().where(table.id.in_(ids[start : start + BATCH]))


def _by_subject(rows):
    found = defaultdict(dict)
    for row in rows:
        found[row.subject][row.name] = UNLIMITED if row.most is None else row.most
    return dict(found)


def _limited(limit):
    return {name: most for name, most in limit.items() if most != UNLIMITED}
