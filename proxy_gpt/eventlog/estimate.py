"""Estimates of tokens, for calls of which the upstream does not tell them: the bytes of the text, divided by four.

Told is the body of the request, its framing too, which costs tokens as well, but without what is in base64: pictures, sounds.
Said are the words, the reasons and the calls of tools in the answer. Both are counted as they stream by.
"""
import re

BYTES_A_TOKEN = 4
RUN = re.compile(rb"[A-Za-z0-9+/=_\\\\-]*")
BASE64 = re.compile(rb'(;base64,|"(?:data|file_data)"\s*:\s*")' + RUN.pattern)
WORDS = re.compile(rb'"(?:(delta)|content|text|refusal|arguments|reasoning|reasoning_content)"\s*:\s*"')
STRING = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)  # to the quote that ends it, or as far as it goes
BACKSLASH = ord("\\")
LONGEST_WAITING = 4096  # bytes
OVERLAP = 32  # bytes kept for a key that is cut by the end of a piece


def tokens(size):
    """The tokens of so many bytes of text, at least one where there is any."""
    return -(-size // BYTES_A_TOKEN)


class Told:
    """Counts the bytes of a request, but for what is in base64."""

    def __init__(self):
        self.counted = 0
        self.tail = b""  # the last bytes, not counted yet: they may be the beginning of a key
        self.inside = False

    @property
    def size(self):
        """The bytes so far."""
        return self.counted + len(self.tail)

    def feed(self, piece):
        """Take the next piece."""
        if not piece:
            return
        text = self.tail + piece
        end = skipped = RUN.match(text).end() if self.inside else 0
        for match in BASE64.finditer(text, end):
            end = match.end()
            skipped += end - match.end(1)
        self.inside = 0 < end == len(text)
        keep = max(end, len(text) - OVERLAP)  # the beginning of a key is counted with the next piece
        self.counted += keep - skipped
        self.tail = text[keep:]


class Said:
    """Counts the bytes of the words in an answer: in JSON or in an event stream, however it is cut into pieces.

    Where there are keys "delta" with words (the Responses API), the other keys only repeat those.
    """

    def __init__(self):
        self.waiting, self.length = [], 0  # pieces that are not looked at yet: most answers are short and report their usage
        self.deltas = self.others = 0
        self.tail = b""
        self.inside = None  # the match that opened the string which goes on in the next piece

    @property
    def size(self):
        """The bytes of all words so far."""
        self._look()
        return self.deltas or self.others

    def feed(self, piece):
        """Take the next piece."""
        self.waiting.append(piece)
        self.length += len(piece)
        if self.length > LONGEST_WAITING:
            self._look()

    def _look(self):
        text, at = b"".join([self.tail, *self.waiting]), 0
        self.waiting, self.length = [], 0
        while True:
            if self.inside:
                end = STRING.match(text, at).end()
                self._count(end - at)
                if end == len(text) or text[end] == BACKSLASH:
                    self.tail = text[end:]  # nothing, or a backslash whose letter is still to come
                    return
                self.inside, at = None, end + 1
            self.inside = WORDS.search(text, at)
            if not self.inside:
                self.tail = text[max(at, len(text) - OVERLAP) :]
                return
            at = self.inside.end()

    def _count(self, size):
        if self.inside[1]:
            self.deltas += size
        else:
            self.others += size
