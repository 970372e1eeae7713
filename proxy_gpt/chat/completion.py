"""One chat completion of the upstream, read whole or as it is streamed. https://platform.openai.com/docs/api-reference/chat"""
import json

from proxy_gpt.errors import UpstreamBroke, UpstreamError, UpstreamRefused
from proxy_gpt.offload import let_others_run
from proxy_gpt.upstream.answer import PIECE
from proxy_gpt.upstream.headers import EVENT_STREAM

HEADERS = {"Content-Type": "application/json", "Accept": f"application/json, {EVENT_STREAM}", "User-Agent": "proxy-gpt"}
LONGEST = 4 << 20  # bytes of an answer, or of one line of a stream; characters of a reply that is streamed
ERROR_BYTES = 64 << 10
DATA, DONE = b"data:", b"[DONE]"
NO_COMPLETION = "The upstream's answer is not what a chat completion should be."


class Completion:
    """A question to the model. `pieces` asks it; the other attributes are filled as the answer comes in."""

    def __init__(self, upstream, call, model, chat_messages, stream, meter):
        self.upstream = upstream
        self.call = call
        self.meter = meter
        self.refused = self.chosen = self.whole = False
        self.raw = json.dumps(_asked(model, chat_messages, stream)).encode()
        meter.told.feed(self.raw)
        self.request_id = ""
        self.bytes = 0

    def pieces(self):
        """Yield the reply's text, each piece when it arrives. Raises UpstreamError in all its kinds."""
        answer = self.upstream.send(self.call, "POST", "/chat/completions", "", HEADERS, self.raw, len(self.raw))
        try:
            self.request_id = answer.header("x-request-id")[:254]
            self.refused = answer.status != 200
            if self.refused:
                raise refusal(answer)
            if answer.is_event_stream():
                yield from self._streamed(answer)
            else:
                yield clean(self._content(_choice(self._whole(answer)), "message"))
            if not self.chosen:
                raise UpstreamBroke(NO_COMPLETION)
            self.whole = True
        finally:
            self.call.disconnected()
            answer.close()

    def was_let_through(self):
        """Whether the upstream did what it was asked, or may have."""
        return self.call.reached and not self.refused

    def _fed(self, answer):
        for piece in answer.pieces():
            for reader in self.meter.answer_readers():
                reader.feed(piece)
            self.bytes += len(piece)
            if len(piece) >= PIECE:  # more has come without a wait, and others want their turn
                let_others_run()
            yield piece

    def _whole(self, answer):
        raw = bytearray()
        for piece in self._fed(answer):
            raw += piece
            if len(raw) > LONGEST:
                raise UpstreamBroke(f"The upstream's answer is longer than {LONGEST} bytes.")
        return _parsed(raw)

    def _streamed(self, answer):
        ended, length = False, 0
        for data in _data_lines(self._fed(answer)):
            if data == DONE:
                return
            choice = _choice(_parsed(data))
            ended = ended or bool(choice.get("finish_reason"))
            text = self._content(choice, "delta")
            length += len(text)
            if length > LONGEST:
                raise UpstreamBroke(f"The upstream's reply is longer than {LONGEST} characters.")
            if text:
                yield clean(text)
        if not ended:
            raise UpstreamBroke("The upstream broke off in the middle of its reply. Send the prompt again.")

    def _content(self, choice, part):
        """The text of a choice: in its "message", or in the "delta" of a streamed one."""
        self.chosen = self.chosen or bool(choice)
        said = choice.get(part)
        content = said.get("content") or said.get("refusal") if isinstance(said, dict) else None
        return content if isinstance(content, str) else ""


def _asked(model, chat_messages, stream):
    more = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, "messages": chat_messages, "stream": stream, **more}


def refusal(answer):
    """The error for an answer that is none: the upstream's own 4xx with its words, else that it failed."""
    answer.require_accepted_key()
    if not 400 <= answer.status < 500:
        return UpstreamError(f"The upstream answered with status {answer.status}. Try again later.")
    raw = b""
    for piece in answer.pieces():
        raw += piece
        if len(raw) > ERROR_BYTES:
            break
    return UpstreamRefused(answer.status, _error(_read(raw)), {
        name: value for name, value in answer.pairs if name.lower() in ("retry-after", "retry-after-ms", "x-should-retry")
    })  # fmt: skip


def clean(text):
    """A text that every database and encoding can hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _data_lines(pieces):
    """The payloads of the `data:` lines of an event stream (WHATWG HTML, section 9.2), however it is cut into pieces."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        if len(rest) > LONGEST:
            raise UpstreamBroke(f"A line of the upstream's answer is longer than {LONGEST} bytes.")
        if b"\n" not in piece:
            continue
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if line.startswith(DATA):
                yield bytes(line[len(DATA) :]).strip()


def _read(raw):
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _parsed(raw):
    """A completion, or a chunk of one. Raises UpstreamBroke when it is none, with the upstream's words when it is an error."""
    value = _read(raw)
    if not isinstance(value, dict):
        raise UpstreamBroke(NO_COMPLETION)
    if value.get("error"):
        said = _error(value).get("message") or "it does not say which"
        raise UpstreamBroke(f"The upstream broke off its reply with an error: {said[:4000].removesuffix('.')}.")
    return value


def _choice(value):
    """The first choice of a completion, or {}: some chunks, such as the one with the usage, have none."""
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else {}


def _error(value):
    """What an answer says of its error, as far as it is text."""
    error = value.get("error") if isinstance(value, dict) else None
    return {name: clean(said) for name, said in error.items() if isinstance(said, str)} if isinstance(error, dict) else {}
