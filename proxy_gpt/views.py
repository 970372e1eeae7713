"""How things look from outside: the JSON shapes of the answers and of the streams."""
from proxy_gpt import clock


def message(row):
    """A message, as the participants of its chat see it."""
    used = {"input_tokens": row.input_tokens, "output_tokens": row.output_tokens}
    return {
        "id": row.id, "chat_id": row.chat_id, "user_id": row.user_id, "prompt": row.prompt, "reply": row.reply,
        "model": row.model, "otr": row.otr, "status": row.status, "error": row.error or None,
        "usage": None if row.input_tokens is None and row.output_tokens is None else used,
        "created_at": clock.to_text(row.created_at), "revision": row.revision,
    }  # fmt: skip


def user(row):
    """A user, as people who share a team or chat see each other."""
    return {"id": row.id, "username": row.username, "first_name": row.first_name, "last_name": row.last_name}


def own_user(row):
    """A user, as one sees oneself."""
    return {**user(row), **_times(row)}


def chat(row):
    """A chat, as its participants see it."""
    return {
        "id": row.id, "name": row.name, "model": row.model, "system": row.system,
        "user_id": row.user_id, "team_id": row.team_id, **_times(row),
    }  # fmt: skip


def team(row):
    """A team, as its members see it."""
    return {"id": row.id, "name": row.name, "description": row.description, "owner_id": row.owner_id, **_times(row)}


def _times(row):
    return {"created_at": clock.to_text(row.created_at), "updated_at": clock.to_text(row.updated_at)}
