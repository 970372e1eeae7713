"""The model that a body names: of JSON its own member "model", whatever the objects within it, such as `metadata`, call so.

Most bodies name it before any other object begins. That is seen by a look for the key, without parsing them.
"""
import re

from proxy_gpt.members import members

OBJECT = re.compile(rb"[ \t\r\n]*\{")
KEY = re.compile(rb'"model"\s*:')  # a key and no words: in strings the quotes are escaped
NAMED = re.compile(rb'"model"\s*:\s*"([^"\\\x00-\x1f]{1,254})"')
FIELD = re.compile(rb'name="?model"?\r\n\r\n([^\r\n]{1,254})\r\n')
STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)
ESCAPED = b"\\u006"  # how a key "model" begins or goes on that is written so as not to be found
LONGEST = 254
TAIL = 8 << 10  # bytes


class ModelFinder:
    """Finds the model of a request behind what is kept of it: OpenAI's own client sends the messages before it."""

    def __init__(self):
        self.tail = b""

    def feed(self, chunk):
        """Keep the last of what has come by now."""
        self.tail = (chunk if len(chunk) >= TAIL else self.tail + chunk)[-TAIL:]

    @property
    def model(self):
        """The last that is named where nothing but the end of the whole object closes behind it; "" if there is none."""
        depth, end = 0, len(self.tail)
        for match in reversed(list(NAMED.finditer(self.tail))):
            depth += _opened(self.tail[match.end() : end])
            if depth == -1:
                return _text(match)
            end = match.start()
        return ""


def read_model(text, is_sure=False):
    """The model that the beginning of a body names, "" when it names none. Of an event stream the first counts, of a form the field.

    `is_sure`: it takes the time to see through what is written to mislead, with the key twice or in escapes.
    """
    match = NAMED.search(text)
    if not OBJECT.match(text):
        match = match or FIELD.search(text)
    elif match and not _is_plain(text, match) or is_sure and _is_odd(text, match):
        return _of_object(text, is_sure)
    return _text(match) if match else ""


def _is_plain(text, match):
    """Whether no other object or list begins before the model."""
    return text.count(b"{", 0, match.start()) == 1 and text.find(b"[", 0, match.start()) < 0


def _is_odd(text, match):
    """Whether the key stands there more often than was seen, or may do so in escapes."""
    return ESCAPED in text or len(KEY.findall(text)) > (match is not None)


def _of_object(text, is_sure):
    model = ""
    try:
        for name, value, *_ in members(text.decode("utf-8", "replace")):
            if name == "model":
                model = value  # of several the last one counts, as for all who parse JSON
                if not is_sure:
                    break
    except (ValueError, RecursionError):  # it is cut off, or no JSON: what was read by then counts
        pass
    return model if isinstance(model, str) and len(model) <= LONGEST and model.isprintable() else ""


def _opened(text):
    """How many more objects and lists begin in a piece of JSON than end."""
    outside = STRING.sub(b"", text)
    return sum(map(outside.count, (b"{", b"["))) - sum(map(outside.count, (b"}", b"]")))


def _text(match):
    return match[1].decode("utf-8", "replace")
