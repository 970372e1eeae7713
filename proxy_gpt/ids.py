"""Ids: opaque to callers, ordered by time for the database."""
import os
import time


def new_id():
    """A UUID of version 7 (RFC 9562, section 5.7): its first 48 bits are milliseconds, so indexes grow at their end."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
