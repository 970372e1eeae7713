"""The characters that a text may have, whether it comes by a request or by the admin command."""
from proxy_gpt.errors import BadRequest

NOT_UTF8 = "is not valid UTF-8. Encode it as UTF-8 and try again."


def check_characters(name, value):
    """The text, if a database can hold it. Raises BadRequest for NUL and lone surrogates."""
    if "\0" in value:
        raise BadRequest(f"The field '{name}' has a NUL character. Remove it.", name)
    try:
        value.encode()  # in C: a loop in Python takes 60 ms for a megabyte
    except UnicodeEncodeError:
        raise BadRequest(f"The field '{name}' {NOT_UTF8}", name) from None
    return value
