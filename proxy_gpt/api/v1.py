"""/v1/*: OpenAI's API, verbatim in both directions, with the shared key in place of the caller's token.

Plain WSGI, in front of Flask: a request is passed on as it came, so that nothing of what Flask does for one is needed here,
and that was a quarter of its time.
"""
import json

from werkzeug import Response

from proxy_gpt import auth, events, faults
from proxy_gpt.errors import ClientGone, ProxyError, UpstreamError
from proxy_gpt.passthrough import Exchange
from proxy_gpt.upstream import headers
from proxy_gpt.upstream.address import split_target


class Passthrough:
    """The WSGI application for /v1/*; `others` is the one for everything else."""

    def __init__(self, proxy, others):
        self.proxy = proxy
        self.others = others

    def __call__(self, environ, start_response):
        """Send the request upstream; the answer is the Exchange, from which the server takes the body and which it closes."""
        if not environ["PATH_INFO"].startswith("/v1/"):
            return self.others(environ, start_response)
        record = events.new_record(environ, self.proxy.settings)
        exchange = Exchange(record, self.proxy.log, self.proxy.watch, environ.get("gunicorn.socket"), self.proxy.settings.log_body_bytes)
        try:
            answer = self._ask(exchange, environ)
            start_response(f"{answer.status} {answer.reason}", [*_response_headers(answer), (events.HEADER, record.id)])
        except Exception as error:
            exchange.release()
            return self._refuse(error, record)(environ, start_response)
        except BaseException:  # the worker stops
            exchange.release()
            raise
        return exchange

    def _ask(self, exchange, environ):
        proxy, method = self.proxy, environ["REQUEST_METHOD"]
        exchange.record.user_id = auth.caller_of(environ, proxy.callers).user_id
        path, query = split_target(environ["RAW_URI"])
        sent = headers.upstream(environ, proxy.settings.allow_organization)
        body, length = exchange.upload(environ)
        proxy.log.intend(exchange.record)
        try:
            answer = proxy.upstream.send(exchange, method, path, query, sent, body, length)
        except UpstreamError as error:
            if exchange.gone:  # it was not the upstream that broke off
                raise ClientGone("The caller left before the upstream answered.") from error
            raise
        exchange.answered(answer, method)
        return answer

    def _refuse(self, error, record):
        """The answer to a request that was not passed on, or could not be."""
        if not isinstance(error, ProxyError):
            error = faults.reported(error, record.id)
        record.settle(error.outcome, error.message)
        response = Response(json.dumps(error.body()), error.status, error.headers, content_type="application/json")
        return events.attach(response, record, self.proxy)


def _response_headers(answer):
    if not answer.header("content-type").startswith(headers.EVENT_STREAM):
        return answer.headers
    # An event stream has no length, and nginx in front of us must not buffer it.
    kept = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
    return [*kept, ("X-Accel-Buffering", "no")]
