"""INCLUDE_USAGE: an event stream reports what it used, though its caller did not ask for that, and the caller does not see it.

The request gets `stream_options.include_usage`, by the smallest change of its bytes; of the answer the one event that has the
usage and nothing else is taken out. All other bytes pass as they came.
"""
import json
import re

from proxy_gpt.members import SPACE, members

PATHS = ("/chat/completions", "/completions")  # below /v1
LONGEST = 1 << 20  # bytes of a request that is looked at: it must be in memory, and longer ones pass as they are
LONGEST_EVENT = 64 << 10  # bytes: what is longer is no report of usage
ASK = '"include_usage":true'
BEFORE_AN_EVENT = re.compile(rb"(?:[\r\n]|:[^\r\n]*[\r\n])+")  # line ends and comments
END_OF_EVENT = re.compile(rb"(?>\r\n|\n|\r){2}")
ONLY_USAGE = re.compile(rb'"choices"\s*:\s*\[\s*\]')
LINE_END = re.compile(rb"\r\n|\n|\r")


def with_usage(body):
    """The body that also asks for the usage; None when it asks for no stream, or for the usage already, or cannot be read."""
    try:
        text = body.decode()
        asked = _members(text)
    except (ValueError, RecursionError):
        return None
    if asked.get("stream", (None,))[0] is not True:
        return None
    options, begin, end = asked.get("stream_options", (None, None, None))
    if begin is None:
        return _insert(text, text.index("{"), f'"stream_options":{{{ASK}}}')
    if options is None:
        return f"{text[:begin]}{{{ASK}}}{text[end:]}".encode()
    if not isinstance(options, dict) or options.get("include_usage") is True:
        return None
    return _in_options(text, begin)


def _in_options(text, begin):
    try:
        _, start, stop = _members(text, begin).get("include_usage", (None, None, None))
    except ValueError:
        return None
    return _insert(text, begin, ASK) if start is None else f"{text[:start]}true{text[stop:]}".encode()


def _insert(text, brace, member):
    """The text with one more member behind the brace that opens an object."""
    comma = "" if text[SPACE.match(text, brace + 1).end()] == "}" else ","
    return f"{text[: brace + 1]}{member}{comma}{text[brace + 1 :]}".encode()


def _members(text, at=0):
    """The members of the object that begins there, as name: (value, begin, end). Raises ValueError for anything else."""
    found = {}
    for name, *place in members(text, at):
        if name in found:
            raise ValueError("twice the same: nobody knows which counts")
        found[name] = place
    return found


class Stripper:
    """Takes the event that has nothing but the usage out of an event stream, however it is cut into pieces.

    What is held back is at most the beginning of one event, which no reader of event streams acts on before its end.
    """

    def __init__(self):
        self.rest = b""
        self.inside = False  # an event that is too long to be held back, and has begun to pass
        self.after_cr = False  # the event that was taken out ended with a carriage return, whose line feed may still come
        self.taken = 0  # bytes

    def feed(self, piece):
        """The bytes that pass by now."""
        text, at, passed = self.rest + self._without_line_feed(piece), 0, []
        while at < len(text):
            begin = at
            if not self.inside and (before := BEFORE_AN_EVENT.match(text, at)):
                begin = before.end()
                passed.append(text[at:begin])
            end = END_OF_EVENT.search(text, begin)
            if end is None:
                at = begin
                break
            at = end.end()
            self._pass_unless_usage(text[begin:at], passed, at == len(text))
        self.rest = text[at:]
        if self.inside or len(self.rest) > LONGEST_EVENT:
            passed.append(self.rest[:-1])  # the last byte may be the first half of the event's end
            self.rest, self.inside = self.rest[-1:], True
        return b"".join(passed)

    def end(self):
        """What was held back, when nothing more comes."""
        rest, self.rest = self.rest, b""
        return rest

    def _without_line_feed(self, piece):
        if not self.after_cr or not piece:
            return piece
        self.after_cr = False
        self.taken += piece[:1] == b"\n"
        return piece.removeprefix(b"\n")

    def _pass_unless_usage(self, event, passed, is_last):
        if self.inside or not is_usage_alone(event):
            passed.append(event)
        else:
            self.taken += len(event)
            self.after_cr = is_last and event.endswith(b"\r")
        self.inside = False


def is_usage_alone(event):
    """Whether an event has a usage and no choices."""
    if not ONLY_USAGE.search(event):
        return False
    lines = [line[5:] for line in LINE_END.split(event) if line.startswith(b"data:")]
    try:
        data = json.loads(b"\n".join(lines))
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("choices") == [] and isinstance(data.get("usage"), dict)
