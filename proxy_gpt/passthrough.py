"""One call through the proxy: from the caller's body to the upstream and back, with everything the log wants to know."""
import errno
import json

from proxy_gpt import incoming
from proxy_gpt.errors import ClientGone, Interrupted, ProxyError, TooLarge, UpstreamRefusedKey
from proxy_gpt.eventlog.capture import Capture
from proxy_gpt.eventlog.record import Outcome
from proxy_gpt.eventlog.usage import read_model
from proxy_gpt.upstream.call import Call
from proxy_gpt.upstream.headers import EVENT_STREAM

PIECE = 64 << 10  # bytes read from the caller at once
BODYLESS = (204, 304)
STOPPED = "The proxy stopped before the answer was complete. Send the request again."


class CallerDropped(OSError):
    """Raised out of a response whose end cannot be told otherwise: the server drops the connection without a word."""


class Exchange(Call):
    """A call that passes bytes both ways. `close` must be called, however it ends."""

    kind = "call"

    def __init__(self, record, watch, client, settings):
        super().__init__(watch, client)
        self.record = record
        self.settings = settings
        self.limit = settings.log_body_bytes
        self.most = settings.max_upload_mb << 20  # bytes of an upload
        self.answer = None
        self.uploaded = self.downloaded = None

    def upload(self, stream, length, content_type, encoding):
        """The caller's body for the upstream: None, bytes when it is short, else pieces as they arrive. Raises TooLarge."""
        if not stream or length == 0:
            return None
        if length is not None and length > self.most:
            raise self._too_large()
        self.uploaded = Capture(content_type, encoding, self.limit)
        pieces = self._upload_pieces(stream, length)
        return b"".join(pieces) if length is not None and length <= PIECE else pieces

    def _upload_pieces(self, stream, left):
        while left is None or left > 0:
            with incoming.within(self.settings.client_timeout):
                piece = stream.read(PIECE if left is None else min(PIECE, left))
            if not piece and left is None:
                return
            if not piece:
                raise ClientGone("The body is shorter than its Content-Length. Send all of it.")
            left = left and left - len(piece)
            self.uploaded.feed(piece)
            if self.uploaded.size > self.most:  # only a body in chunks does not say so before
                raise self._too_large()
            yield piece

    def _too_large(self):
        return TooLarge(f"The body is larger than {self.most >> 20} MB, the most that this proxy takes (MAX_UPLOAD_MB). Send less.")

    def answered(self, answer, method):
        """Take the upstream's answer. Raises UpstreamRefusedKey for its 401: the caller's own token is good."""
        self.answer = answer
        self.record.upstream_request_id = answer.header("x-request-id")[:254]
        if answer.status == 401:
            raise UpstreamRefusedKey("The upstream refused the proxy's own key. Tell the operator to check API_KEY.")
        self.downloaded = Capture(answer.header("content-type"), answer.header("content-encoding"), self.limit)
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
                yield piece
        except ProxyError as error:
            error = self.reason(error)
            if isinstance(error, ClientGone):
                return
            self.record.settle(error.outcome, error.message)
            yield from self._broken_off(error)
        if not self.gone:
            self.record.settle(Outcome.COMPLETE)

    def reason(self, error):
        """Why the call ended: not by the upstream, where it was we who cut it."""
        if self.stopped:
            return Interrupted(STOPPED)
        return ClientGone("The caller left before the upstream answered.") if self.gone else error

    def _broken_off(self, error):
        if not self.answer.header("content-type").startswith(EVENT_STREAM) or self.answer.header("content-encoding"):
            raise CallerDropped(errno.ECONNRESET, "The upstream broke off.") from error
        yield error_event(error)

    @property
    def about(self):
        """It is for itself; as an attribute that would be a circle, which only the garbage collector can undo."""
        return self

    def progress(self):
        """(model, bytes so far)."""
        model = read_model(self.uploaded.head()) if self.uploaded else ""
        return model, self.downloaded.size if self.downloaded else 0

    def close(self):
        """Release everything; complete the record."""
        super().close()
        if self.answer is not None:
            self.answer.close()
        self._complete_record()

    def _complete_record(self):
        record = self.record
        if self.uploaded:
            record.bytes_in = self.uploaded.size
            record.request = self.uploaded.text()
            record.model = read_model(self.uploaded.head())
        if self.downloaded:
            record.bytes_out = self.downloaded.size
            record.response = self.downloaded.text()
            record.model = read_model(self.downloaded.head()) or record.model
            for name, value in self.downloaded.usage.usage().items():
                setattr(record, name, value)
        if self.stopped:
            record.settle(Outcome.INTERRUPTED, STOPPED)
        elif self.downloaded or self.gone:
            record.settle(Outcome.CLIENT_GONE, incoming.TOOK_NOTHING if incoming.took_nothing() else incoming.LEFT)


def error_event(error):
    """An error as a server-sent event, on which OpenAI's clients raise; the empty lines end a half-sent event before it."""
    return b"\n\ndata: " + json.dumps(error.body()).encode() + b"\n\n"
