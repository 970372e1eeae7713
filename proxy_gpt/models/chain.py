"""The chain of admin events: each follows from the one before by a digest, so that none can be changed or taken away unseen."""
import hashlib
import json

from peewee import BigIntegerField, CharField, IntegerField

from proxy_gpt import clock
from proxy_gpt.models.base import Table

HEAD = 1  # the id of the one row of heads
FLOATS = ("duration", "seconds")
CHAINED = (  # fixed for ever: a column that comes later has no part in the digest
    "id", "timestamp", "kind", "client_ip", "user_id", "method", "endpoint", "params", "status", "duration", "request", "response", "message",
    "model", "outcome", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "seconds", "upstream_request_id", "bytes_in", "bytes_out",
)  # fmt: skip


class Link(Table):
    """That an admin event has this number in the chain."""

    number = BigIntegerField(primary_key=True)
    event_id = CharField(36, unique=True)
    digest = CharField(64)

    class Meta:
        table_name = "admin_chain"


class Head(Table):
    """The end of the chain, in the row HEAD. Who adds to the chain updates it first, and so waits for his turn."""

    id = IntegerField(primary_key=True)
    number = BigIntegerField()
    digest = CharField(64)

    class Meta:
        table_name = "admin_chain_head"


def digest_of(previous, number, event):
    """The SHA-256 of the digest before it and of an event (a dictionary) as JSON, which is fixed for ever too."""
    values = [_plain(name, event[name]) for name in CHAINED]
    return hashlib.sha256(json.dumps([previous, number, *values]).encode()).hexdigest()


def _plain(name, value):
    if value is None or isinstance(value, str):
        return value
    if name in FLOATS:
        return float(value)
    return clock.to_text(value) if name == "timestamp" else value
