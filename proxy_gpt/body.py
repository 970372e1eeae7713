"""The body and query of a request: form, multipart or JSON, all read in one way into values by name."""
import contextlib
import json
import threading
from codecs import BOM_UTF8
from functools import partial
from io import BytesIO
from urllib.parse import parse_qsl

from flask import g, request
from werkzeug.exceptions import RequestEntityTooLarge

from proxy_gpt import incoming, offload
from proxy_gpt.characters import NOT_UTF8
from proxy_gpt.client_ip import network
from proxy_gpt.current import proxy
from proxy_gpt.errors import BadRequest, Unavailable, UnsupportedType
from proxy_gpt.events import keep_fields, room_for_fields, shown

MOST_FIELDS = 1000
LONG, LONG_MULTIPART = 64 << 10, 4 << 10  # bytes; a longer body is parsed in a thread, so that other requests do not wait: each part takes its time
PATIENCE = 5  # seconds that a long body waits to be parsed
FORM, MULTIPART, JSON = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"


parsers = threading.BoundedSemaphore(2)  # the threads are needed for other things too


class Repeated(list):
    """The values of one form field, which may be there many times (a JSON array is a plain list)."""


def values():
    """Return the values of the current request by name; the body's win over the query's.

    Raises BadRequest when they cannot be parsed, UnsupportedType for other bodies, RequestTimeout when the body comes too
    slowly, Unavailable when too many bodies of unknown callers come from the same address.
    """
    query = _pairs("query", request.query_string)
    with _bounds() as seconds:
        with incoming.within(seconds):
            raw = _raw()
        work = _parser(raw), query, raw, room_for_fields()
        is_long = len(raw) > (LONG_MULTIPART if request.mimetype == MULTIPART else LONG)
        found, text = _in_turn(_read, *work) if is_long else _read(*work)
    keep_fields(text, request.content_length or 0)
    return found


def _in_turn(read, *work):
    if not parsers.acquire(timeout=PATIENCE):
        raise Unavailable("Too many long bodies come at once. Try again in a few seconds.")
    try:
        return offload.run(read, *work)
    finally:
        parsers.release()


@contextlib.contextmanager
def _bounds():
    """Yield the seconds that the body may take: a stranger has few, and a share of the places for bodies."""
    seconds = proxy().settings.client_timeout
    if "caller" in g:
        yield seconds
        return
    request.max_content_length = LONG  # the forms that open endpoints take are short
    with incoming.share_of_a_stranger(network(g.event.client_ip)):
        yield min(seconds, incoming.STRANGERS_SECONDS)


def _raw():
    raw = request.get_data().removeprefix(BOM_UTF8)
    if request.environ["wsgi.input"].read(1):  # in chunks; Werkzeug would take the beginning for the whole
        raise RequestEntityTooLarge
    return raw


def _parser(raw):
    """Return a function from the body to its values. It may run in a thread, and so asks nothing of Flask."""
    if request.is_json or raw.lstrip()[:1] == b"{":
        return _json
    if raw and request.mimetype == MULTIPART:
        return partial(_parts, request.make_form_data_parser(), request.mimetype_params)
    if raw and request.mimetype not in ("", FORM, JSON):
        raise UnsupportedType(f"Bodies of type {request.mimetype[:100]} are not read here. Send a form or JSON.")
    return partial(_pairs, "body")


def _read(parse, query, raw, room):
    """Return all values, and of their text as much as the event has room for."""
    found = parse(raw)
    if query:
        found = query | found
    return found, shown(((name, _plain(value)) for name, value in found.items()), room) if found and room else ""


def _plain(value):
    return value[0] if isinstance(value, Repeated) and len(value) == 1 else value


def _parts(parser, params, raw):
    parser.silent = False  # else what cannot be parsed is an empty form
    try:
        _, form, files = parser.parse(BytesIO(raw), MULTIPART, len(raw), params)
    except ValueError:
        raise BadRequest("The multipart body has no boundary, no end, or a bad header in it. Send all of it again.") from None
    # Werkzeug puts U+FFFD for what is not UTF-8; with a surrogate in its place the field is refused.
    lost = "\ufffd" if raw.decode(errors="replace").encode() == raw else "\udcff"
    found = {name: {"filename": file.filename} for name, file in files.items()}  # which no field takes
    found |= {name: Repeated(value.replace("\ufffd", lost) for value in values) for name, values in form.lists()}
    found.pop(None, None)  # parts may have no name
    return found


def _json(raw):
    if not raw.strip():
        return {}
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
