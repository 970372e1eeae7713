"""Names of people, chats and teams, and what is said about them: how long, of which characters."""
from proxy_gpt.errors import BadRequest

LONGEST = 254


def checked(field, value, longest=LONGEST, shortest=0):
    """A name of one printable line, without white space around it. Raises BadRequest naming the field."""
    value = value.strip()
    if not shortest <= len(value) <= longest or not value.isprintable():
        lengths = f"{shortest} to {longest}" if shortest else f"at most {longest}"
        raise BadRequest(f"The field '{field}' must have {lengths} characters, all printable.", field)
    return value


def checked_text(field, value, longest):
    """A text of any lines. Raises BadRequest naming the field when it is too long."""
    if len(value) > longest:
        raise BadRequest(f"The field '{field}' must have at most {longest} characters.", field)
    return value
