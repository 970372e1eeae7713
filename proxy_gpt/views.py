"""How things look from outside: the JSON shapes of the answers and of the streams, each with its description."""
from dataclasses import dataclass, field

from proxy_gpt import clock, money
from proxy_gpt.models import Status

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
NULL = {"type": "null"}
TIME = {"type": "string", "format": "date-time"}
ID = {"type": "string", "description": "An opaque id."}
TIMES = {"created_at": TIME, "updated_at": TIME}


@dataclass(frozen=True)
class Shape:
    """A JSON object that answers have in them: its properties, all of which are there, and those that may be."""

    name: str
    about: str
    properties: dict = field(hash=False)
    optional: dict = field(default_factory=dict, hash=False)


def or_null(schema):
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def either(*shapes):
    """One of these."""
    return {"anyOf": list(shapes)}


TOKENS = Shape("Tokens", "The tokens that a reply took.", {"input_tokens": or_null(NUMBER), "output_tokens": or_null(NUMBER)})
MESSAGE = Shape("Message", "A prompt and its reply.", {
    "id": ID, "chat_id": ID, "user_id": or_null({**ID, "description": "Who asked; null when there is no such user any more."}),
    "prompt": TEXT, "reply": TEXT, "model": TEXT, "otr": {**FLAG, "description": "Off the record: kept and shown, not sent."},
    "status": {**TEXT, "enum": [Status.COMPLETE, Status.STREAMING, Status.FAILED, Status.CANCELLED]},
    "error": or_null({**TEXT, "description": "Why it failed."}), "usage": either(TOKENS, NULL), "created_at": TIME,
    "revision": or_null({**NUMBER, "description": "Its place among the chat's messages, once it has ended."}),
})  # fmt: skip
EVENT = Shape("StreamEvent", "What subscribers of a chat hear. While it is partial, the reply is the newest piece of it.",
              {"message": MESSAGE, "partial": FLAG})  # fmt: skip
USER = Shape("User", "A user, as people who share a team or chat see each other.",
             {"id": ID, "username": TEXT, "first_name": TEXT, "last_name": TEXT})  # fmt: skip
ACCOUNT = Shape("Account", "A user, as one sees oneself.", {**USER.properties, **TIMES})
MEMBERSHIP = Shape("Membership", "A team of the caller's.", {"id": ID, "name": TEXT})
MEMBER = Shape("Member", "The caller, with the caller's teams.", {**ACCOUNT.properties, "teams": [MEMBERSHIP]})
CHAT = Shape("Chat", "A chat, as its participants see it.", {
    "id": ID, "name": TEXT, "model": TEXT, "system": TEXT, "user_id": {**ID, "description": "Its owner."}, "team_id": or_null(ID), **TIMES,
})  # fmt: skip
TEAM = Shape("Team", "A team, as its members see it.", {"id": ID, "name": TEXT, "description": TEXT, "owner_id": ID, **TIMES})
USED = Shape("Used", "What was used, with the keys that were asked for: a day, an id and its name, a model.", {
    "requests": NUMBER, "input_tokens": NUMBER, "cached_tokens": {**NUMBER, "description": "These are among the input tokens."},
    "output_tokens": NUMBER, "reasoning_tokens": {**NUMBER, "description": "These are among the output tokens."},
    "seconds": {"type": "number", "description": "Of sound."}, "cost": {**TEXT, "description": "In the currency, such as 12.50: nothing is rounded."},
    "estimated": {**NUMBER, "description": "Requests whose tokens are estimated."},
    "unknown": {**NUMBER, "description": "Requests whose tokens are not known, and not among the sums."},
    "unpriced": {**NUMBER, "description": "Requests that are not in the cost."},
}, {"day": {**TEXT, "format": "date"}, "user": ID, "user_name": TEXT, "team": ID, "team_name": TEXT, "model": TEXT})  # fmt: skip
AMOUNT = {"type": ["integer", "string"], "description": "A number; money as text; `unlimited`."}
LIMIT = Shape("Limit", "How one stands under a limit now.", {"limit": TEXT, "most": AMOUNT, "used": AMOUNT, "held": AMOUNT})
REPORT = Shape("UsageReport", "What was used in these days, a line for each combination of the keys.", {
    "by": {"type": "array", "items": TEXT}, "since": {**TEXT, "format": "date"}, "until": {**TEXT, "format": "date"}, "currency": TEXT,
    "usage": [USED], "total": USED,
})  # fmt: skip
STANDING = Shape("Standing", "What was used, and how one stands under each limit.", {**REPORT.properties, "limits": [LIMIT]})


def message(row):
    """A MESSAGE."""
    used = {"input_tokens": row.input_tokens, "output_tokens": row.output_tokens}
    return {
        "id": row.id, "chat_id": row.chat_id, "user_id": row.user_id, "prompt": row.prompt, "reply": row.reply,
        "model": row.model, "otr": row.otr, "status": row.status, "error": row.error or None,
        "usage": None if row.input_tokens is None and row.output_tokens is None else used,
        "created_at": clock.to_text(row.created_at), "revision": row.revision,
    }  # fmt: skip


def user(row):
    """A USER."""
    return {"id": row.id, "username": row.username, "first_name": row.first_name, "last_name": row.last_name}


def own_user(row):
    """An ACCOUNT."""
    return {**user(row), **_times(row)}


def member(row, teams):
    """A MEMBER."""
    return {**own_user(row), "teams": [{"id": team.id, "name": team.name} for team in teams]}


def chat(row):
    """A CHAT."""
    return {
        "id": row.id, "name": row.name, "model": row.model, "system": row.system,
        "user_id": row.user_id, "team_id": row.team_id, **_times(row),
    }  # fmt: skip


def team(row):
    """A TEAM."""
    return {"id": row.id, "name": row.name, "description": row.description, "owner_id": row.owner_id, **_times(row)}


def usage(report, currency):
    """What was used (a `rules.usage.Report`), with its costs as text."""
    lines = [{**line, "cost": money.to_text(line["cost"])} for line in (*report.lines, report.total)]
    return {
        "by": list(report.by), "since": report.since, "until": report.until, "currency": currency,
        "usage": lines[:-1], "total": lines[-1],
    }  # fmt: skip


def _times(row):
    return {"created_at": clock.to_text(row.created_at), "updated_at": clock.to_text(row.updated_at)}
