"""What the log keeps of a body: its first bytes as text and its size, while it streams through."""
import zlib

import brotli

TEXT = ("json", "text/", "x-www-form-urlencoded", "xml", "javascript")
FORM = "multipart/form-data"  # names the model, but is mostly a file: read, not kept
HEAD = 4096
WINDOW = 64 << 10  # bytes that a decoder may give out at a time


class Capture:
    """Sees every piece of a body. Keeps at most `limit` bytes of text; of binary bodies only the type and size.

    `readers` are fed all of the text.
    """

    def __init__(self, content_type, encoding, limit, *readers):
        self.content_type = content_type = (content_type or "").lower()
        self.limit = limit
        self.room = max(limit, HEAD)
        self.size = 0  # bytes on the wire
        self.length = 0  # bytes of text
        self.kept = bytearray()
        self.readers = readers
        self.is_text = not content_type or any(part in content_type for part in TEXT)
        self.decode = decoder(encoding) if self.is_text or FORM in content_type else None

    def feed(self, piece):
        """Take notice of the next piece of the body as it is on the wire."""
        self.size += len(piece)
        if self.decode:
            for text in self.decode(piece):
                self._keep(text)
                for reader in self.readers:
                    reader.feed(text)

    def text(self):
        """What the log's row says: the text, with a note where it was cut, or a line about a binary body."""
        if not self.size:
            return ""
        if not (self.is_text and self.decode):
            return f"[{self.content_type.partition(';')[0] or 'unknown type'}, {self.size} bytes]"
        text = self.kept[: self.limit].decode("utf-8", "replace").replace("\0", "\ufffd")
        return text if self.length <= self.limit else f"{text}… [the first {self.limit} bytes of {self.length}]"

    def head(self):
        """The first bytes of the text, some kilobytes even where the log keeps none."""
        return self.kept

    def _keep(self, text):
        self.length += len(text)
        room = self.room - len(self.kept)
        if room > 0:
            self.kept += text[:room]


def decoder(encoding):
    """A function from a piece as sent to an iterable of pieces of text, for a Content-Encoding; None where it is unknown."""
    encoding = (encoding or "identity").strip().lower()
    if encoding == "identity":
        return lambda piece: (piece,)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflate().pieces
    if encoding == "br":
        return _Brotli().pieces
    return None


class _Inflate:
    def __init__(self):
        self.state = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it says it is
        self.broken = False

    def pieces(self, piece):
        while piece and not self.broken:
            try:
                text = self.state.decompress(piece, WINDOW)
            except zlib.error:  # not what it claims to be: passed on as it is, merely not read
                self.broken = True
                return
            piece = self.state.unconsumed_tail
            yield text


class _Brotli:
    def __init__(self):
        self.state = brotli.Decompressor()
        self.broken = False

    def pieces(self, piece):
        while not self.broken and (piece or not self.state.can_accept_more_data()):
            try:
                text = self.state.process(piece, output_buffer_limit=WINDOW)
            except brotli.error:  # as above
                self.broken = True
                return
            piece = b""
            yield text
