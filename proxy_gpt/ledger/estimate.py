"""What a call may use, guessed before it goes upstream. What it did use is settled afterwards.

Tokens in: the bytes of the text divided by four, as for events without a count (see `eventlog.estimate`); none for files. Tokens out:
what the body names as the most, for each of its `n` choices, else RESERVE_TOKENS.
"""
import re
from typing import NamedTuple

from proxy_gpt.eventlog import metering
from proxy_gpt.eventlog.estimate import tokens
from proxy_gpt.eventlog.model import read_model
from proxy_gpt.eventlog.usage import MOST

HEAD = 256 << 10  # bytes of a body, or some more, and of its text, that are looked at before it goes upstream; the rest streams through
MOST_OUT = re.compile(rb'"max_(?:completion_|output_)?tokens"\s*:\s*(\d{1,12})')
CHOICES = re.compile(rb'"n"\s*:\s*(\d{1,3})')


class Estimate(NamedTuple):
    """What a call may use. `model` is "" where it cannot be told from the beginning of the body."""

    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    size: int = 0  # bytes of the body, where they are known


def of_request(meter, body, length, usual_out):
    """The Estimate of a request whose meter (or None) and Capture (or None) have seen the beginning of its body.

    `length` is that of the body on the wire, if known.
    """
    if meter is None:
        return Estimate()
    head, seen = (bytes(body.head()), body.size) if body else (b"", 0)
    if meter.is_text:
        told = meter.told.size * max(length or 0, seen) // max(1, seen)  # the rest is taken to be like the beginning
        silent = metering.EMBEDDINGS.fullmatch(meter.endpoint)
        return Estimate(read_model(head, is_sure=True), tokens(told), 0 if silent else _tokens_out(head, usual_out), length or 0)
    if metering.OTHER.fullmatch(meter.endpoint):
        return Estimate(read_model(head, is_sure=True), 0, _tokens_out(head, usual_out), length or 0)
    return Estimate()


def of_prompt(model, raw, usual_out):
    """The Estimate of a chat completion of ours with this body."""
    return Estimate(model, tokens(len(raw)), usual_out, len(raw))


def beginning(body):
    """Read the first HEAD bytes of a body, or some more; returns all of it, in pieces if it came so."""
    if body is None or isinstance(body, bytes):
        return body
    taken, size = [], 0
    for piece in body:
        taken.append(piece)
        size += len(piece)
        if size >= HEAD:
            break
    return _again(taken, body)


def _again(taken, pieces):
    yield from taken
    yield from pieces


def _tokens_out(head, usual):
    most = max((int(digits) for digits in MOST_OUT.findall(head)), default=usual)
    return min(MOST, most * max((int(digits) for digits in CHOICES.findall(head)), default=1))
