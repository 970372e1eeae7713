"""The fields of a request: query, form, multipart or JSON, all read in one way, wrong ones named in a sentence."""
import json
from urllib.parse import parse_qsl

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from proxy_gpt import incoming
from proxy_gpt.characters import NOT_UTF8, check_characters
from proxy_gpt.setting_values import SWITCH
from proxy_gpt.errors import BadRequest, UnsupportedType
from proxy_gpt.events import keep_fields, proxy

MOST_FIELDS = 1000
FORMS = ("", "application/x-www-form-urlencoded", "application/json")
LONGEST_NUMBER = 20  # digits
REQUIRED = object()


class Fields:
    """The values of a request by name; the body's win over the query's. Reading one checks its type."""

    def __init__(self, values):
        self.values = values

    def text(self, name, default=REQUIRED):
        """A text; without a default it must be there. Raises BadRequest naming the field."""
        value = self.one(name)
        if value is None:
            if default is REQUIRED:
                raise BadRequest(f"The field '{name}' is missing. Send it as text.", name)
            return default
        if not isinstance(value, str):
            raise BadRequest(f"The field '{name}' must be text.", name)
        return check_characters(name, value)

    def first(self, *names):
        """The text of the first of these fields that is there: names of the same thing. Raises BadRequest."""
        name = next((name for name in names if self.one(name) is not None), names[0])
        return self.text(name)

    def whole(self, name, default, least, most):
        """A whole number from `least` to `most`. Raises BadRequest naming the field."""
        value = self.one(name)
        if value is None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < LONGEST_NUMBER:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadRequest(f"The field '{name}' must be a whole number from {least} to {most}.", name)
        return value

    def flag(self, name, default=False):
        """A boolean: JSON's own, or one of the usual words, or 1 or 0. Raises BadRequest naming the field."""
        value = self.one(name)
        if value is None:
            return default
        if isinstance(value, (str, int)):
            value = SWITCH.get(str(value).strip().lower())
        if not isinstance(value, bool):
            raise BadRequest(f"The field '{name}' must be true or false.", name)
        return value

    def texts(self, name):
        """A list of texts: a JSON array, a repeated field, or a comma-separated one. Raises BadRequest naming the field."""
        values = self.values.get(name)
        if isinstance(values, (str, Repeated)) or values is None:
            joined = [values] if isinstance(values, str) else values or ()
            values = [part.strip() for value in joined for part in value.split(",") if part.strip()]
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise BadRequest(f"The field '{name}' must be a list of texts.", name)
        return [check_characters(name, value) for value in values]

    def one(self, name):
        """The only value of a field, None when it is absent or null. Raises BadRequest when there are several."""
        value = self.values.get(name)
        if isinstance(value, Repeated):
            if len(value) > 1:
                raise BadRequest(f"The field '{name}' is there {len(value)} times. Send it once.", name)
            return value[0]
        return value


class Repeated(list):
    """The values of one form field, which may be there many times (a JSON array is a plain list)."""


def read():
    """The fields of the current request. Raises BadRequest when they cannot be parsed, UnsupportedType for other bodies,
    RequestTimeout when the body comes too slowly.
    """
    values = _pairs("query", request.query_string)
    with incoming.within(proxy().settings.client_timeout):
        values.update(_body())
    keep_fields({name: _plain(value) for name, value in values.items()}, request.content_length or 0)
    return Fields(values)


def _plain(value):
    return value[0] if isinstance(value, Repeated) and len(value) == 1 else value


def _body():
    if request.mimetype == "multipart/form-data":
        return {name: Repeated(values) for name, values in request.form.lists()}
    raw = request.get_data()
    if request.environ["wsgi.input"].read(1):  # in chunks; Werkzeug would take the beginning for the whole
        raise RequestEntityTooLarge
    if request.is_json or raw.lstrip()[:1] == b"{":
        return _json(raw) if raw.strip() else {}
    if raw and request.mimetype not in FORMS:
        raise UnsupportedType(f"Bodies of type {request.mimetype} are not read here. Send a form or JSON.")
    return _pairs("body", raw)


def _json(raw):
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {type(error).__name__}. Send one JSON object in UTF-8.") from None
    if not isinstance(values, dict):
        raise BadRequest("The body must be a JSON object, such as {\"username\": \"alice\"}.")
    return values


def _pairs(where, raw):
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except UnicodeDecodeError:
        raise BadRequest(f"The {where} {NOT_UTF8}") from None
    except ValueError:
        raise BadRequest(f"The {where} has more than {MOST_FIELDS} fields. Send fewer.") from None
    values = {}
    for name, value in pairs:
        values.setdefault(name, Repeated()).append(value)
    return values
