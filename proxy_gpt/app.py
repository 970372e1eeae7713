"""The application: what a process opens, and in which order a request passes through."""
import logging
import threading
import time

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import WebsocketMismatch

from proxy_gpt import auth, cross_site, db, events, live, upkeep
from proxy_gpt.aftermath import Aftermath
from proxy_gpt.api import chat, docs, health, prompt, stream, team, usage, user, v1
from proxy_gpt.attempts import Attempts
from proxy_gpt.auth import Callers
from proxy_gpt.cache import MemoryCache, RedisCache
from proxy_gpt.chat import lookout
from proxy_gpt.chat.context import Contexts
from proxy_gpt.chat.prompts import Prompts
from proxy_gpt.errors import FAULT, ProxyError, TooLarge, place_of
from proxy_gpt.eventlog.journal import folder_for
from proxy_gpt.eventlog.log import EventLog
from proxy_gpt.ledger.gate import Gate
from proxy_gpt.logs.setup import Log
from proxy_gpt.metrics.tally import Tally
from proxy_gpt.prices import Prices
from proxy_gpt.pubsub.hub import Hub
from proxy_gpt.readiness import Readiness
from proxy_gpt.redis_link import Link
from proxy_gpt.rules import messages
from proxy_gpt.upstream.transport import Upstream
from proxy_gpt.upstream.watch import Watch

FIELDS_BYTES = 1 << 20  # the largest body of our own endpoints; /v1/* streams, up to MAX_UPLOAD_MB
logger = logging.getLogger(__name__)


class Proxy:
    """What one process has open, for the whole of its life."""

    def __init__(self, settings, tally=None):
        self.settings = settings
        self.database = db.open_database(settings.database, checkpoints=False)  # the event log's shipper makes them
        db.watch(self.database)
        db.use(self.database)  # `preflight` has made the tables: a worker that starts while the database is away waits for it
        self.callers = Callers()
        self.prices = Prices.load(settings.prices)
        self.upstream = Upstream(settings)
        self.watch = Watch()
        journals = folder_for(settings.journal_dir, settings.database)
        self.tally = tally or Tally(settings)
        self.says = Log(settings.log_format)
        self.aftermath = Aftermath(self.tally, self.says)
        self.redis = Link(settings.redis) if settings.redis else None
        self.gate = Gate(settings, self.prices, self.redis)
        self.log = EventLog(db.open_database(settings.database), journals, self.ended_with_their_process, self.aftermath.add)
        self.attempts = Attempts(settings, self.redis)
        self.hub = Hub(self.redis)
        self.contexts = Contexts(RedisCache(self.redis) if self.redis else MemoryCache())
        self.prompts = Prompts(self.upstream, self.log, self.contexts, self.hub, self.gate)
        self.draining = False
        self.readiness = Readiness(self)
        self.aftermath.start(self)
        self.reporter = live.Reporter(self)
        self.reporter.start()
        upkeep.start(settings, self.settle_expired)
        lookout.start(self)

    def connections(self):
        """How many connections to the database are in use."""
        return sum(len(database._in_use) for database in (self.database, self.log.shipper.database))  # peewee's pool does not tell otherwise

    def ended_with_their_process(self, ids):
        """What is to be done about requests that ended with another process. Raises Unavailable when that cannot be done now."""
        with db.without_waiting_for_locks():
            messages.fail_interrupted(ids)
        self.gate.settle_interrupted(ids)

    def settle_expired(self):
        """Settle the holds of calls whose end nobody told, once the ends are known that a dead process's journal tells."""
        if self.log.recovered:
            self.gate.book.drop_over()

    def drain(self):
        """The process is to stop: send the subscribers elsewhere, let what is under way come to its end, and cut the rest."""
        deadline = time.monotonic() + self.settings.drain_seconds
        self.draining = True
        self.hub.close()
        self.prompts.close(self.settings.drain_seconds)
        pause = threading.Event()
        while self.watch.exchanges and time.monotonic() < deadline:
            pause.wait(0.05)
        self.watch.stop_all()

    def close(self):
        """Write down what is left."""
        self.prompts.close(0)
        self.reporter.close()
        self.log.close()
        self.aftermath.flush()
        self.says.close()


def create_app(settings, tally=None):
    """The WSGI application. Call it in the process that serves, after the fork: it opens files and connections.

    `tally` counts for all workers of a server; without one the process counts for itself.
    """
    app = Flask("proxy_gpt", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=FIELDS_BYTES, MAX_FORM_MEMORY_SIZE=FIELDS_BYTES, MAX_FORM_PARTS=1000)
    app.url_map.merge_slashes = False  # paths below /v1/ pass as they are
    app.json.sort_keys = False
    app.extensions["proxy"] = Proxy(settings, tally)
    app.before_request(events.begin)
    cross_site.share(app, settings.cors_origins)
    app.before_request(auth.require_session)
    for group in (v1, user, chat, prompt, stream, team, usage, docs, health):
        app.register_blueprint(group.blueprint)
    app.after_request(events.attach)
    app.register_error_handler(ProxyError, answer_error)
    app.register_error_handler(RequestEntityTooLarge, answer_too_large)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Exception, answer_bug)
    return app


def answer_error(error):
    """The answer to every error that is raised on purpose."""
    g.event.settle(error.outcome, error.message)
    return error.body(), error.status, error.headers


def answer_too_large(error):
    """Flask's own refusal of a body is the same error as that of /v1/*."""
    return answer_error(TooLarge(f"The body is larger than {request.max_content_length} bytes, or has too many parts. Send less."))


def answer_http_error(error):
    """Errors of Flask's own (no such path, wrong method) in the shape of all others, and in words of ours."""
    if error.code is None or error.code < 400:  # a redirect
        return error
    raised = ProxyError(SENTENCES.get(type(error)) or SENTENCES.get(error.code) or error.description)
    raised.status, raised.type = error.code, "invalid_request_error"
    raised.code = error.name.lower().replace(" ", "_")
    raised.headers = {"Allow": ", ".join(sorted(error.valid_methods))} if getattr(error, "valid_methods", None) else {}
    return answer_error(raised)


SENTENCES = {
    WebsocketMismatch: "This endpoint is no WebSocket. Ask again without the header 'Upgrade'.",
    400: "This request cannot be read: its header 'Host' is no name of a host, or its body is not what its headers say. Correct it.",
    404: "There is no such endpoint. The README lists them all.",
    405: "This endpoint does not answer that method. The Allow header names those it answers.",
}


def answer_bug(error):
    """A fault of ours. The type and place go to the process's log, never the text: it may hold what a user sent."""
    logger.error("A fault of the proxy in request %s: %s", g.event.id, place_of(error))
    return answer_error(ProxyError(FAULT))
