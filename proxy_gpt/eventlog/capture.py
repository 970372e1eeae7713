"""What the log keeps of a body: its first bytes as text and its size, while it streams through."""
import zlib

import brotli

from proxy_gpt.offload import let_others_run

TEXT = ("json", "text/", "x-www-form-urlencoded", "xml", "javascript")
FORM = "multipart/form-data"  # names the model, but is mostly a file: read, not kept
HEAD = 4096
WINDOW = 16 << 10  # bytes that are read at once, about, and that are handled between two turns of other requests
# More text than this is not read (CONTRACT, section 9): a few kilobytes can expand to gigabytes.
MOST_TEXT = 200 << 20  # bytes
MOST_RATIO = 200  # bytes of text for each byte on the wire
RATIO_FROM = 1 << 20  # bytes of text from which on the ratio counts
MOST_MEMBERS = 1000  # of a gzip body


class Unreadable(Exception):
    """A body cannot be read to its end. It passes all the same."""


class WrongType(Unreadable):
    """Its Content-Type is of no text."""


class WrongCoding(Unreadable):
    """Its Content-Encoding is not known here, or it is not what that says."""


class TooMuchText(Unreadable):
    """It expands beyond what is read."""


class Capture:
    """Sees every piece of a body. Keeps at most `limit` bytes of text; of binary bodies only the type and size.

    `readers` are fed all of the text; `unread` is the kind of Unreadable that kept some of it from them, or None.
    """

    def __init__(self, content_type, encoding, limit, *readers):
        self.content_type = content_type = (content_type or "").lower()
        self.limit = limit
        self.room = max(limit, HEAD)
        self.size = 0  # bytes on the wire
        self.length = 0  # bytes of text
        self.turn = 0  # bytes left to handle before other requests have their turn
        self.kept = bytearray()
        self.readers = readers
        self.is_text = not content_type or any(part in content_type for part in TEXT)
        is_read = self.is_text or FORM in content_type
        self.decode = decoder(encoding) if is_read else None
        self.unread = WrongType if not is_read else WrongCoding if self.decode is None else None

    def feed(self, piece):
        """Take notice of the next piece of the body as it is on the wire."""
        self.size += len(piece)
        self.turn = WINDOW  # for a small piece, which is all that had come, the wait for the next one is a turn of the others
        self._let_others_run(len(piece))
        if self.decode:
            try:
                for text in self.decode(piece):
                    self._read(text)
            except Unreadable as error:
                self.unread, self.decode = type(error), None

    def end(self):
        """Release the decoder, which may hold 16 MB: the body has ended."""
        self.decode = None

    def look_at(self, size):
        """Keep so many bytes of the text at least, until `trim`."""
        self.room = max(self.room, size)

    def trim(self):
        """Keep no more than the log and the model's name need."""
        self.room = max(self.limit, HEAD)
        del self.kept[self.room :]

    def text(self):
        """What the log's row says: the text, with a note where it was cut, or a line about a binary body."""
        if not self.size:
            return ""
        if not self.is_text or self.unread and not self.kept:
            return f"[{self.content_type.partition(';')[0] or 'unknown type'}, {self.size} bytes]"
        text = self.kept[: self.limit].decode("utf-8", "replace").replace("\0", "\ufffd")
        if self.length <= self.limit and not self.unread:
            return text
        return f"{text}… [the first {min(self.limit, self.length)} bytes of {'more than ' if self.unread else ''}{self.length}]"

    def head(self):
        """The first bytes of the text, some kilobytes even where the log keeps none."""
        return self.kept

    def _read(self, text):
        self.length += len(text)
        if self.length > MOST_TEXT or self.length > RATIO_FROM and self.length > self.size * MOST_RATIO:
            raise TooMuchText
        room = self.room - len(self.kept)
        if room > 0:
            self.kept += text[:room]
        for reader in self.readers:
            reader.feed(text)
        self._let_others_run(len(text))

    def _let_others_run(self, size):
        """Between two pieces that arrive without a wait nobody else would have a turn."""
        self.turn -= size
        if self.turn <= 0:
            self.turn = WINDOW
            let_others_run()


def decoder(encoding):
    """A function from a piece as sent to an iterable of pieces of text, for a Content-Encoding; None where it is unknown.

    That function raises Unreadable.
    """
    encoding = (encoding or "identity").strip().lower()
    if encoding == "identity":
        return _windows
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflate().pieces
    if encoding == "br":
        return _Brotli().pieces
    return None


def _windows(piece):
    return (piece,) if len(piece) <= WINDOW else (piece[at : at + WINDOW] for at in range(0, len(piece), WINDOW))


class _Inflate:
    def __init__(self):
        self.members = 0
        self._begin()

    def pieces(self, piece):
        while piece:
            if self.state.eof:  # another member follows, or padding; zlib would copy all of it with every piece
                piece = piece.lstrip(b"\0")
                if not piece:
                    return
                self._begin()
            try:
                text = self.state.decompress(piece, WINDOW)
            except zlib.error as error:
                raise WrongCoding from error
            piece = self.state.unused_data or self.state.unconsumed_tail
            yield text

    def _begin(self):
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise TooMuchText
        self.state = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it says it is


class _Brotli:
    def __init__(self):
        self.state = brotli.Decompressor()

    def pieces(self, piece):
        text = piece
        while text or not self.state.can_accept_more_data():  # it may accept more though it has more to give
            try:
                text = self.state.process(piece, output_buffer_limit=WINDOW)
            except brotli.error as error:
                raise WrongCoding from error
            piece = b""
            yield text
            if self.state.is_finished():
                return
