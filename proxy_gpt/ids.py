"""Ids: opaque to callers, ordered by time for the database."""
import os
import time
import uuid
from datetime import datetime, timezone

BEYOND = "z"  # comes after every id, in the order of every database


def new_id():
    """A UUID of version 7 (RFC 9562, section 5.7): its first 48 bits are milliseconds, so indexes grow at their end."""
    return _as_text((int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big"))


def first_id(moment):
    """The id before all that are made from this moment (a datetime with a zone) on."""
    return _as_text(max(0, int(moment.timestamp() * 1000)) << 80)


def moment_of(identity):
    """When an id was made; None for one that no `new_id` made."""
    try:
        return datetime.fromtimestamp(int(identity[:8] + identity[9:13], 16) / 1000, timezone.utc)
    except (ValueError, OverflowError):
        return None


def is_id(text):
    """Whether it has the form of an id."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _as_text(value):
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
