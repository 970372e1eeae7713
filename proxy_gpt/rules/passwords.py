"""Passwords: how long, how hashed, how compared."""
import os
import threading
from contextlib import contextmanager

from proxy_gpt import offload
from proxy_gpt.errors import BadRequest, Unavailable

LONGEST = 1024
METHOD = "scrypt:32768:8:1"
# Compared when the username is unknown, so that both cases take the same time. Nobody's password: no text hashes to it.
NOBODY = f"{METHOD}$nobody$" + "0" * 128
AT_ONCE = max(1, min(2, (os.cpu_count() or 1) - 1))  # hashes: one core is left to the streams, and each hash takes 32 MB
MOST_WAITING = 100  # for their turn, which is some seconds' work; who comes then is sent away
LONGEST_WAIT = 30  # seconds
_places = threading.Semaphore(AT_ONCE)
_waiting = set()


def digest(password, shortest=1, field="password", before_hash=None):
    """The salted scrypt hash of a new password of `shortest` to 1024 characters. Raises BadRequest naming the field.

    `before_hash` is called when the turn has come, and may still refuse by raising an error.
    """
    if not shortest <= len(password) <= LONGEST:
        raise BadRequest(f"The field '{field}' must have {shortest} to {LONGEST} characters.", field)
    from werkzeug.security import generate_password_hash  # here, since it loads half a web server

    with _turn(before_hash):
        return offload.run(generate_password_hash, password, METHOD)


def fits(password, password_hash, before_hash=None):
    """Whether the password belongs to the hash; None stands for nobody's hash and takes as long. `before_hash` is as above."""
    from werkzeug.security import check_password_hash

    with _turn(before_hash):
        return offload.run(check_password_hash, password_hash or NOBODY, password[: LONGEST + 1])


@contextmanager
def _turn(before_hash):
    """One of the few places for hashing. Raises Unavailable when too many wait for one."""
    me = object()
    if len(_waiting) >= MOST_WAITING:
        raise _too_many()
    _waiting.add(me)
    try:
        if not _places.acquire(timeout=LONGEST_WAIT):
            raise _too_many()
    finally:
        _waiting.discard(me)
    try:
        if before_hash:
            before_hash()
        yield
    finally:
        _places.release()


def _too_many():
    return Unavailable("Too many passwords are being checked now. Try again in a few seconds.")
