"""What a call may use, guessed from the beginning of its body before it goes upstream.

Tokens in: a quarter of the bytes of a JSON body, a picture in it counting a thousand; none for files. Tokens out: what the body
names as the most, for each of `n` choices, else RESERVE_TOKENS. The guess need not be right: what was used is settled afterwards.
"""
import re
from typing import NamedTuple
from urllib.parse import unquote

from proxy_gpt.eventlog.usage import read_model

HEAD = 256 << 10  # bytes of a body that are looked at before it goes upstream; the rest of it streams through
PICTURE = 1000  # tokens
CHANGING = ("POST", "PUT", "PATCH")
OPERATION = re.compile(r"/(?:chat/completions|completions|responses|embeddings|(?:images|audio)/[a-z]+)/*$", re.IGNORECASE)
SILENT = re.compile(r"/embeddings/*$", re.IGNORECASE)  # gives out no tokens
MOST_OUT = re.compile(rb'"max_(?:completion_|output_)?tokens"\s*:\s*(\d{1,12})')
CHOICES = re.compile(rb'"n"\s*:\s*(\d{1,3})')
PICTURES = re.compile(rb"base64,[A-Za-z0-9+/=\\]+")


class Estimate(NamedTuple):
    """What a call may use. `model` is "" where the beginning of the body does not name it."""

    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    size: int = 0  # bytes of the body, where they are known


def of_request(method, path, content_type, head, length, usual_out):
    """The Estimate of a request with this `head` of its body, `length` bytes in all if that is known; None when it uses no tokens."""
    if method not in CHANGING:
        return None
    path = unquote(path)
    if method != "POST" or not OPERATION.search(path):
        return Estimate()
    is_json = "multipart/" not in (content_type or "")
    tokens_in = _tokens_in(head, length or 0) if is_json else 0
    return Estimate(read_model(head), tokens_in, 0 if SILENT.search(path) else _tokens_out(head, usual_out), length or 0)


def of_prompt(model, raw, usual_out):
    """The Estimate of a chat completion of ours with this body."""
    return Estimate(model, len(raw) // 4, usual_out)


def beginning(pieces):
    """(the first HEAD bytes or some more, an iterator over all of it) of a body that comes in pieces."""
    taken, size = [], 0
    pieces = iter(pieces)
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= HEAD:
            break
    return b"".join(taken), _again(taken, pieces)


def _again(taken, pieces):
    yield from taken
    yield from pieces


def _tokens_in(head, length):
    text, pictures = PICTURES.subn(b"", head)
    rest = 0 if pictures else max(0, length - len(head))  # behind a picture are more of it
    return (len(text) + rest) // 4 + pictures * PICTURE


def _tokens_out(head, usual):
    most = max((int(digits) for digits in MOST_OUT.findall(head)), default=usual)
    return most * max((int(digits) for digits in CHOICES.findall(head)), default=1)
