"""Names of people, chats and teams, and what is said about them: how long, of which characters."""
import unicodedata

from proxy_gpt.errors import BadRequest

LONGEST = 254
BREAKS = ("Cc", "Zl", "Zp")  # the kinds of characters that end a line or move the cursor


def checked(field, value, longest=LONGEST, shortest=0):
    """A person's name, of printable characters: none that hides and makes two names look the same. Raises BadRequest."""
    value = value.strip()
    if not shortest <= len(value) <= longest or not value.isprintable():
        raise BadRequest(f"The field '{field}' must have {_lengths(shortest, longest)} characters, all printable.", field)
    return value


def checked_line(field, value, longest=LONGEST, shortest=0):
    """What a thing is called, in one line; the joiners in emoji and in Persian words may be there. Raises BadRequest."""
    value = value.strip()
    if not shortest <= len(value) <= longest or any(unicodedata.category(character) in BREAKS for character in value):
        raise BadRequest(f"The field '{field}' must be one line of {_lengths(shortest, longest)} characters.", field)
    return value


def checked_text(field, value, longest):
    """A text of any lines. Raises BadRequest naming the field when it is too long."""
    if len(value) > longest:
        raise BadRequest(f"The field '{field}' must have at most {longest} characters.", field)
    return value


def _lengths(shortest, longest):
    return f"{shortest} to {longest}" if shortest else f"at most {longest}"
