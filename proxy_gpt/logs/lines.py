"""A request as one line of text or JSON: no query, no header, no body, and of what a caller chose no character that could end the line."""
import json
from json.encoder import encode_basestring_ascii as quoted

from proxy_gpt.eventlog.policy import NONE, may_keep

COLUMN = {"ip": "client_ip", "user": "user_id", "path": "endpoint", "ms": "duration", "tokens_in": "input_tokens", "tokens_out": "output_tokens"}
LONGEST = {"method": 32, "path": 300, "model": 64}  # characters, so that a line is shorter than what a pipe takes at once, escapes and all
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def as_json(record):
    """An event as a JSON object."""
    return _encode({"time": record.timestamp, "level": "info", "kind": record.kind, **_values(record)}) + "\n"


def as_text(record):
    """An event as its time and `name=value` pairs."""
    values = _values(record)
    for name in LONGEST:
        if name in values and not values[name].isalnum():
            values[name] = quoted(values[name])
    return f"{record.timestamp} {record.kind} {' '.join([f'{name}={value}' for name, value in values.items()])}\n"


def _values(record):
    """The values by name; those that are not there, or may not be kept of this caller, are left out."""
    values = {
        "id": record.id, "ip": record.client_ip, "user": record.user_id, "method": record.method[: LONGEST["method"]],
        "path": record.endpoint[: LONGEST["path"]], "status": record.status, "outcome": record.outcome,
        "ms": round(record.duration * 1000, 1), "bytes_in": record.bytes_in, "bytes_out": record.bytes_out,
    }  # fmt: skip
    if record.model:
        values["model"] = record.model[: LONGEST["model"]]
    if record.input_tokens is not None or record.output_tokens is not None:
        values.update(tokens_in=record.input_tokens, tokens_out=record.output_tokens)
    if record.capture == NONE:
        values = {name: value for name, value in values.items() if may_keep(NONE, COLUMN.get(name, name))}
    return {name: value for name, value in values.items() if value is not None and value != ""}
