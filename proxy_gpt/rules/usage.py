"""What was used, summed up over days (in UTC): one's own, one's team's, or everybody's for the operator."""
import re
from dataclasses import dataclass
from datetime import date, timedelta

from peewee import fn

from proxy_gpt import clock
from proxy_gpt.db import connection
from proxy_gpt.errors import BadRequest
from proxy_gpt.models import Team, TeamMember, UsageDay, User
from proxy_gpt.rules import teams

BY = {"day": UsageDay.day, "user": UsageDay.user_id, "team": UsageDay.team_id, "model": UsageDay.model}
SUMS = tuple(field for field in UsageDay._meta.sorted_fields if field.name not in UsageDay._meta.primary_key.field_names)
DAYS = re.compile(r"([1-9]\d{0,4})d", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
USUAL = "30d"
MOST = 10_000  # lines
NAMES_AT_ONCE = 500


@dataclass(frozen=True)
class Report:
    """The lines, a dictionary each, and their sum. Costs are in billionths."""

    by: tuple
    since: str
    until: str
    lines: list
    total: dict


def own(user_id, by, since="", until=""):
    """A user's own use, by day, model or team; teams that the user has left have no name. Raises BadRequest."""
    known = Team.id.in_(TeamMember.select(TeamMember.team).where(TeamMember.user == user_id))
    return _report(_checked(by, ("day", "model", "team")), since, until, [UsageDay.user_id == user_id], known)


def of_team(user_id, team_id, by, since="", until=""):
    """The use charged to one's team, by day, model or user; who has left it has no name. Raises as `teams.owned_by`, BadRequest."""
    team = teams.owned_by(user_id, team_id, "team_id")
    known = User.id.in_(TeamMember.select(TeamMember.user).where(TeamMember.team == team.id))
    return _report(_checked(by, ("day", "model", "user")), since, until, [UsageDay.team_id == team.id], known)


def of_all(by, since="", until="", **wanted):
    """Everybody's use; `wanted` has a `user`, `team` or `model` to which it is limited, or None. Raises BadRequest."""
    return _report(_checked(by, tuple(BY)), since, until, [BY[name] == value for name, value in wanted.items() if value is not None])


def day(field, text):
    """The day that YYYY-MM-DD says, or 30d: the first of the last thirty days, today's among them. Raises BadRequest."""
    today = clock.now().date()
    days = DAYS.fullmatch(text)
    try:
        if days:
            return str(today - timedelta(days=int(days[1]) - 1))
        if DATE.fullmatch(text):
            return str(date.fromisoformat(text))
    except (ValueError, OverflowError):  # there is no such day
        pass
    raise BadRequest(f"'{field}' must be a day such as {today}, or 30d for the last thirty days.", field)


def _checked(by, allowed):
    by = tuple(dict.fromkeys(by))
    if not by or set(by) - set(allowed):
        raise BadRequest(f"'by' must be one or more of {', '.join(allowed)}.", "by")
    return by


@connection()
def _report(by, since, until, conditions, known=True):
    since, until = day("since", since or USUAL), day("until", until or "1d")
    if until < since:
        raise BadRequest(f"'until' is {until}, before 'since', which is {since}.", "until")
    keys = [BY[name] for name in by]
    found = UsageDay.select(*keys, *(fn.SUM(field).alias(field.name) for field in SUMS))
    found = found.where(UsageDay.day.between(since, until), *conditions).group_by(*keys).order_by(*keys).limit(MOST + 1)
    lines = [_line(by, row) for row in found.tuples().iterator()]
    if len(lines) > MOST:
        raise BadRequest(f"These are more than {MOST} lines. Ask for a shorter time, or by less.", "since")
    _add_names(lines, by, known)
    return Report(by, since, until, lines, {field.name: sum(line[field.name] for line in lines) for field in SUMS})


def _line(by, row):
    line = dict(zip(by, row[: len(by)], strict=True))
    for field, value in zip(SUMS, row[len(by) :], strict=True):
        line[field.name] = float(value) if field is UsageDay.seconds else int(value)  # PostgreSQL's sums of integers are decimals
    return line


def _add_names(lines, by, known):
    """Beside each user's and team's id its name, "" where it is gone or the condition `known` does not hold."""
    for name, model, column in (("user", User, User.username), ("team", Team, Team.name)):
        if name in by:
            ids = sorted({line[name] for line in lines if line[name]})
            names = {}
            for at in range(0, len(ids), NAMES_AT_ONCE):
                names.update(model.select(model.id, column).where(model.id.in_(ids[at : at + NAMES_AT_ONCE]), known).tuples())
            for line in lines:
                line[f"{name}_name"] = names.get(line[name], "")
