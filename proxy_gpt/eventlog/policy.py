"""What of an event may be written down at all: an operator chooses it for all users, or for one."""

FULL, METADATA, NONE = "full", "metadata", "none"
POLICIES = (FULL, METADATA, NONE)
TEXTS = {"request", "response", "params", "message"}  # a message may repeat what was sent
ACCOUNTING = {
    "id", "timestamp", "kind", "user_id", "team_id", "status", "outcome", "duration", "input_tokens", "output_tokens", "cached_tokens",
    "reasoning_tokens", "seconds", "usage", "cost", "bytes_in", "bytes_out",
}  # fmt: skip


def may_keep(policy, column):
    """Whether an event's column is kept under this policy; a new column is not under `none`, until it is listed here."""
    return column in ACCOUNTING or (policy != NONE and column not in TEXTS) or policy == FULL
