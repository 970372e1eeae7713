"""How things look from outside: the JSON shapes of the answers and of the streams."""
from proxy_gpt import clock


def message(row):
    """A message, as the participants of its chat see it."""
    used = {"input_tokens": row.input_tokens, "output_tokens": row.output_tokens}
    return {
        "id": row.id, "chat_id": row.chat_id, "user_id": row.user_id, "prompt": row.prompt, "reply": row.reply,
        "model": row.model, "otr": row.otr, "status": row.status, "error": row.error or None,
        "usage": None if row.input_tokens is None and row.output_tokens is None else used,
        "created_at": clock.to_text(row.created_at),
    }  # fmt: skip
