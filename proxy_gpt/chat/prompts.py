"""Answering a prompt: written down first, asked upstream, written down again, told to the subscribers."""
import io
import json
import logging
import threading
import time

from proxy_gpt import views
from proxy_gpt.chat.completion import Completion
from proxy_gpt.chat.context import as_chat_messages
from proxy_gpt.errors import ClientGone, ProxyError, Unavailable
from proxy_gpt.eventlog.metering import EXACT, Meter
from proxy_gpt.eventlog.record import Outcome
from proxy_gpt.ledger import estimate
from proxy_gpt.models import Status
from proxy_gpt.offload import let_others_run
from proxy_gpt.rules import messages
from proxy_gpt.upstream.call import Call

MOST_STREAMED = 1000  # replies that one process streams at once
KEEP_EVERY = 2  # seconds between writings of a reply that is still coming in
TRIES = 60  # seconds, and times, that the end of a message is tried to be written while the database is away
logger = logging.getLogger(__name__)


class Prompts:
    """Answers the prompts that come to this process."""

    def __init__(self, upstream, log, contexts, hub, gate):
        self.upstream = upstream
        self.log = log
        self.contexts = contexts
        self.hub = hub
        self.gate = gate
        self.streamed = set()  # answers that are streamed now

    def note(self, record, chat, user_id, prompt):
        """Keep a message off the record. Returns its view."""
        message = messages.note(record.id, chat, user_id, prompt)
        self._publish(message)
        return views.message(message)

    def ask(self, record, chat, user_id, prompt, count, call):
        """Wait for the reply; `call` ends it when the caller leaves. Returns the message's view, raises UpstreamError."""
        answer = Answer(self, record, call)
        answer.begin(chat, user_id, prompt, count)
        call.about = answer
        try:
            answer.run()
        finally:
            call.about = None
        return views.message(answer.message)

    def ask_streamed(self, record, chat, user_id, prompt, count):
        """Let the reply come to the subscribers, whether or not the caller stays. Returns the message's view as it is now."""
        if len(self.streamed) >= MOST_STREAMED:
            raise Unavailable("Too many replies are streamed now. Try again in a few seconds.")
        answer = Answer(self, record, Call(), streamed=True)
        answer.begin(chat, user_id, prompt, count)
        view = views.message(answer.message)
        record.detached = True
        self.streamed.add(answer)
        threading.Thread(target=self._stream, args=(answer,), name="reply", daemon=True).start()
        return view

    def close(self, wait):
        """Let the replies that are streamed come to their end for so many seconds, then keep what has arrived."""
        deadline = time.monotonic() + wait
        pause = threading.Event()
        while self.streamed and time.monotonic() < deadline:
            pause.wait(0.05)
        for answer in tuple(self.streamed):
            answer.call.stop()
        deadline = time.monotonic() + 2
        while self.streamed and time.monotonic() < deadline:
            pause.wait(0.05)

    def _stream(self, answer):
        try:
            answer.run()
        except ProxyError as error:  # the subscribers and the event have been told
            logger.debug("A streamed reply failed: %s", error.message)
        finally:
            self.streamed.discard(answer)
            answer.record.end()
            self.gate.settle(answer.record)
            self.log.finish(answer.record)

    def _publish(self, message, piece=None):
        view = views.message(message) if piece is None else {**views.message(message), "reply": piece}
        partial = piece is not None
        revision = "-" if partial else message.revision
        self.hub.publish(message.chat_id, f"{revision} {json.dumps({'message': view, 'partial': partial})}")


class Answer:
    """The answer to one prompt in the making."""

    kind = "prompt"

    def __init__(self, prompts, record, call, streamed=False):
        self.prompts, self.record, self.call, self.streamed = prompts, record, call, streamed
        self.meter = Meter("/chat/prompt", prompts.gate.prices)
        self.kept_at = time.monotonic()

    def begin(self, chat, user_id, prompt, count):
        """Prepare the question, reserve what it may use, and write down that it is asked. Raises LimitReached, Unavailable."""
        prompts, record = self.prompts, self.record
        self.context = prompts.contexts.read(chat, count)
        asked = as_chat_messages(chat, self.context, count, user_id, prompt)
        record.model = model = prompts.upstream.model(chat.model)
        self.completion = Completion(prompts.upstream, self.call, model, asked, self.streamed, self.meter)
        if record.caps:
            prompts.gate.admit(record, estimate.of_prompt(model, self.completion.raw, prompts.gate.usual_out))
        prompts.log.intend(record, self.meter.columns(model))  # first: the intent of a killed process is what fails its message
        self.message = messages.begin(record.id, chat, user_id, prompt, model)

    def run(self):
        """Ask, and bring the message to its end. Raises the ProxyError that it ended with."""
        reply = io.StringIO()  # a list of short pieces would take many times as much memory
        try:
            for piece in self.completion.pieces():
                if not reply.tell():
                    self.record.take_first_byte()
                reply.write(piece)
                if self.streamed:
                    self._show(piece, reply)
        except BaseException as error:
            self.message.reply = reply.getvalue()
            error = self.call.reason(error)
            self._end(error)
            raise error
        self.message.reply = reply.getvalue()
        self._end()

    def progress(self):
        """(model, bytes so far)."""
        return self.record.model, self.completion.bytes

    def _show(self, piece, reply):
        self.prompts._publish(self.message, piece)
        now = time.monotonic()
        if now > self.kept_at + KEEP_EVERY:
            self.kept_at = now
            self.message.reply = reply.getvalue()
            self._keep()

    def _keep(self):
        try:
            messages.keep_piece(self.message)
        except Unavailable as error:  # the end of the message is what counts, and is tried for longer
            logger.warning("A piece of a reply was not written: %s", error.message)

    def _end(self, error=None):
        message = self.message
        message.status = Status.COMPLETE
        if error is not None:
            message.status = Status.CANCELLED if isinstance(error, ClientGone) else Status.FAILED
            message.error = getattr(error, "message", messages.INTERRUPTED)
        usage = self._used()
        if usage.get("usage") == EXACT:  # a message has no room to say that they are estimated
            message.input_tokens, message.output_tokens = usage.get("input_tokens"), usage.get("output_tokens")
        self._complete_record(usage, error)
        self._finish()
        let_others_run()  # of a reply of megabytes each of these steps takes some milliseconds
        self.prompts.contexts.ended(message, self.context)
        let_others_run()
        self.prompts._publish(message)

    def _used(self):
        return self.meter.columns(self.record.model, self.completion.whole) if self.completion.was_let_through() else {}

    def _complete_record(self, usage, error):
        self.record.upstream_request_id = self.completion.request_id
        self.record.fill(usage)
        if error is None:
            self.record.settle(Outcome.COMPLETE)
        else:
            self.record.settle(getattr(error, "outcome", Outcome.INTERRUPTED), self.message.error)

    def _finish(self):
        """Write down the end. The reply is paid for: while the database is away it is tried again, for a bounded time.

        Raises NotFound when the chat was deleted meanwhile: the message went with it.
        """
        pause = threading.Event()
        for _ in range(TRIES):
            try:
                return messages.finish(self.message)
            except Unavailable:
                pause.wait(1)
        return messages.finish(self.message)
