"""Passwords: how long, how hashed, how compared."""
from proxy_gpt import offload
from proxy_gpt.errors import BadRequest

LONGEST = 1024
METHOD = "scrypt:32768:8:1"
# Compared when the username is unknown, so that both cases take the same time. Nobody's password: no text hashes to it.
NOBODY = f"{METHOD}$nobody$" + "0" * 128


def digest(password, shortest=1, field="password"):
    """The salted scrypt hash of a new password of `shortest` to 1024 characters. Raises BadRequest naming the field."""
    if not shortest <= len(password) <= LONGEST:
        raise BadRequest(f"The field '{field}' must have {shortest} to {LONGEST} characters.", field)
    from werkzeug.security import generate_password_hash  # here, since it loads half a web server

    return offload.run(generate_password_hash, password, METHOD)


def fits(password, password_hash):
    """Whether the password belongs to the hash; None stands for nobody's hash and takes as long."""
    from werkzeug.security import check_password_hash

    return offload.run(check_password_hash, password_hash or NOBODY, password[: LONGEST + 1])
