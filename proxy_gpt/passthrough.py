"""One call through the proxy: from the caller's body to the upstream and back, with everything the log wants to know."""
import errno
import json

from proxy_gpt import incoming
from proxy_gpt.errors import ClientGone, ProxyError, TooLarge, UnsupportedType
from proxy_gpt.eventlog.capture import Capture, TooMuchText
from proxy_gpt.eventlog.model import read_model
from proxy_gpt.eventlog.record import Outcome
from proxy_gpt.ledger import estimate
from proxy_gpt.upstream.call import LEFT, Call

PIECE = 64 << 10  # bytes read from the caller at once
BODYLESS = (204, 304)


class CallerDropped(OSError):
    """Raised out of a response whose end cannot be told otherwise: the server drops the connection without a word."""


class Exchange(Call):
    """A call that passes bytes both ways. `close` must be called, however it ends."""

    kind = "call"

    def __init__(self, record, watch, client, settings, meter):
        super().__init__(watch, client)
        self.record = record
        self.meter = meter  # or None
        self.settings = settings
        self.limit = settings.log_body_bytes
        self.most = settings.max_upload_mb << 20  # bytes of an upload
        self.answer = None
        self.uploaded = self.downloaded = None
        self.stripper = None  # of the usage that the caller did not ask for
        self.all_sent = self.all_read = False  # the body of the request, that of the answer
        self.must_read = False  # whether a request that cannot be read is refused: its caller's budget counts by it

    def upload(self, stream, length, content_type, encoding, short=PIECE):
        """The caller's body for the upstream: None, bytes when it is as short as that, else pieces as they arrive. Raises TooLarge."""
        if not stream or length == 0:
            self.all_sent = True
            return None
        if length is not None and length > self.most:
            raise self._too_large()
        self.uploaded = Capture(content_type, encoding, self.limit, *(self.meter.request_readers() if self.meter else ()))
        if self.must_read:
            self.uploaded.look_at(estimate.HEAD)
        pieces = self._upload_pieces(stream, length)
        return b"".join(pieces) if length is not None and length <= short else pieces

    def _upload_pieces(self, stream, left):
        while left is None or left > 0:
            with incoming.within(self.settings.client_timeout):
                piece = stream.read(PIECE if left is None else min(PIECE, left))
            if not piece and left is None:
                break
            if not piece:
                raise ClientGone("The body is shorter than its Content-Length. Send all of it.")
            left = left and left - len(piece)
            self.uploaded.feed(piece)
            if self.must_read and self.uploaded.unread:
                raise _unread(self.uploaded.unread)
            if self.uploaded.size > self.most:  # only a body in chunks does not say so before
                raise self._too_large()
            yield piece
        self.all_sent = True
        self.uploaded.end()

    def presumed(self):
        """The event's columns in case that this process does not live to see the answer, before it has asked for it."""
        model = self._model()
        return {"model": model, **(self.meter.columns(model, is_read=self._is_read()) if self.meter else {})}

    def _too_large(self):
        return TooLarge(f"The body is larger than {self.most >> 20} MB, the most that this proxy takes (MAX_UPLOAD_MB). Send less.")

    def answered(self, answer, method):
        """Take the upstream's answer. Raises UpstreamRefusedKey."""
        self.answer = answer
        self.record.upstream_request_id = answer.header("x-request-id")[:254]
        answer.require_accepted_key()
        readers = self.meter.answer_readers() if self.meter else ()
        self.downloaded = Capture(answer.header("content-type"), answer.header("content-encoding"), self.limit, *readers)
        if not answer.is_event_stream() or answer.header("content-encoding"):
            self.stripper = None  # an answer that was compressed though nobody asked for that passes as it is
        if method == "HEAD" or answer.status in BODYLESS:
            self.record.settle(Outcome.COMPLETE)

    def download(self):
        """Yield the upstream's body as it arrives, and note how it ended.

        What breaks off is not made whole: an event stream ends with an error event, any other body with the connection.
        """
        yield b""  # so that the server sends the headers now, not with the first piece
        try:
            for piece in self.answer.pieces():
                if not self.downloaded.size:
                    self.record.take_first_byte()
                self.downloaded.feed(piece)
                yield piece if self.stripper is None else self.stripper.feed(piece)
        except ProxyError as error:
            if isinstance(error := self.reason(error), ClientGone):
                return
            self.record.settle(error.outcome, error.message)
            yield from self._broken_off(error)
        else:
            yield self._held_back()
            if self.ended_by is None:
                self.all_read = True
                self.record.settle(Outcome.COMPLETE)

    def _held_back(self):
        return b"" if self.stripper is None else self.stripper.end()

    def _broken_off(self, error):
        if not self.answer.is_event_stream() or self.answer.header("content-encoding"):
            raise CallerDropped(errno.ECONNRESET, "The upstream broke off.") from error
        yield self._held_back() + error_event(error)

    @property
    def about(self):
        """It is for itself; as an attribute that would be a circle, which only the garbage collector can undo."""
        return self

    def progress(self):
        """(model, bytes so far)."""
        return self._model(), self.downloaded.size if self.downloaded else 0

    def close(self):
        """Release everything; complete the record."""
        super().close()
        if self.answer is not None:
            self.answer.close()
        self._complete_record()

    def _complete_record(self):
        record = self.record
        record.model = self._model()
        if self.uploaded:
            record.bytes_in = self.uploaded.size
            record.request = self.uploaded.text()
        if self.downloaded:
            record.bytes_out = self.downloaded.size - (self.stripper.taken if self.stripper else 0)
            record.response = self.downloaded.text()
        if self.meter and self._was_let_through():
            record.fill(self.meter.columns(record.model, self.all_read, self._is_read()))
        if error := self.reason():
            record.settle(error.outcome, error.message)
        elif self.downloaded:
            record.settle(Outcome.CLIENT_GONE, incoming.TOOK_NOTHING if incoming.took_nothing() else LEFT)

    def _model(self):
        """The model that the answer names, else the request."""
        found = (read_model(body.head()) for body in (self.downloaded, self.uploaded) if body)
        return next(filter(None, found), "") or (self.meter.named.model if self.meter else "")  # the last way takes the longest

    def _is_read(self):
        return not any(body and body.unread for body in (self.uploaded, self.downloaded))

    def _was_let_through(self):
        """Whether the upstream did what it was asked, or may have: it had the whole request, and did not refuse it."""
        return 200 <= self.answer.status < 300 if self.answer else self.all_sent and self.reached


def _unread(why):
    if why is TooMuchText:
        return TooLarge("The body expands to more text than is read here, and your use is limited. Send it uncompressed.")
    return UnsupportedType("The body's type or coding is not read here, and your use is limited. Send JSON or a form, uncompressed.")


def error_event(error):
    """An error as a server-sent event, on which OpenAI's clients raise; the empty lines end a half-sent event before it."""
    return b"\n\ndata: " + json.dumps(error.body()).encode() + b"\n\n"
