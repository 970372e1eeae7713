"""Every error a caller can meet: raised anywhere, answered in one place, in OpenAI's shape.

The status, type and code sit on the class; the sentence is given where the error is raised. The admin command prints the
same sentence and exits with 1.
"""
import os

FAULT = "The proxy has a fault. Tell its operator the id in the header x-proxy-request-id."


class ProxyError(Exception):
    """An error with an answer: a status, and what OpenAI's clients read from the body."""

    status = 500
    type = "server_error"
    code = "internal_error"
    outcome = "refused"  # what the event log calls it
    headers = {}

    def __init__(self, message, param=None):
        super().__init__(message)
        self.message = message
        self.param = param

    def body(self):
        """The error as OpenAI writes it, all four keys present."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class BadRequest(ProxyError):
    """The request itself is wrong: a field is missing, or of the wrong type, length or value."""

    status, type, code = 400, "invalid_request_error", "invalid_value"


class Malformed(ProxyError):
    """What came is not a request as HTTP wants it, or asks for a part of HTTP that is not spoken here."""

    status, type, code = 400, "invalid_request_error", "malformed_request"


class UnsupportedCoding(Malformed):
    """The body comes in a Transfer-Encoding that is not read here."""

    status, code = 501, "unsupported_transfer_coding"


class WebSocketRefused(Malformed):
    """A WebSocket below /v1/, such as the Realtime API's, is not passed on."""

    status, code = 501, "websocket_not_supported"
    headers = {"x-should-retry": "false"}


class MethodRefused(ProxyError):
    """A method that must not reach the upstream."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class RequestTimeout(ProxyError):
    """The caller sends its request too slowly."""

    status, type, code = 408, "invalid_request_error", "request_timeout"
    outcome = "timeout"


class Unauthorized(ProxyError):
    """Nobody we know: no session, an expired one, a wrong password."""

    status, type, code = 401, "invalid_request_error", "invalid_api_key"
    headers = {"WWW-Authenticate": 'Bearer realm="proxy-gpt"'}


class WrongPassword(Unauthorized):
    """The username and password do not fit together."""

    code = "invalid_credentials"


class Forbidden(ProxyError):
    """The caller is known and may know that the thing exists, but may not do this to it."""

    status, type, code = 403, "permission_error", "forbidden"


class OperationClosed(Forbidden):
    """An operation of the upstream's that no caller may use."""

    code = "operation_not_allowed"
    headers = {"x-should-retry": "false"}


class OperationNotMetered(Forbidden):
    """The caller's use is limited, and nobody knows what this operation costs."""

    code = "operation_not_metered"
    headers = {"x-should-retry": "false"}


class SignupClosed(Forbidden):
    """Nobody can sign up, or nobody from where the request comes."""

    code = "signup_closed"


class PageOfAnotherSite(Forbidden):
    """A page of another site may not use a user's cookie here, unless the operator lists its origin."""


class WrongOldPassword(Forbidden):
    """Who is logged in does not know the account's password."""


class AccountDisabled(Forbidden):
    """Name and password are right, but the operator keeps this user out."""

    code = "account_disabled"


class NotFound(ProxyError):
    """There is no such thing, or the caller may not even know of it."""

    status, type, code = 404, "invalid_request_error", "not_found"


class Deleted(NotFound):
    """The chat or message was deleted while its reply was awaited."""

    outcome = "interrupted"


class Conflict(ProxyError):
    """What is asked for is already taken."""

    status, type, code = 409, "invalid_request_error", "conflict"


class ChainBroken(Conflict):
    """Admin events were changed or taken away behind the proxy's back."""


class TooLarge(ProxyError):
    """The body is larger than the endpoint takes."""

    status, type, code = 413, "invalid_request_error", "request_too_large"


class UnsupportedType(ProxyError):
    """The body is of a type that the endpoint does not read."""

    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class TooMany(ProxyError):
    """More than is allowed, for now; after so many seconds it may be tried again."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"

    def __init__(self, message, seconds):
        super().__init__(message)
        self.headers = {"Retry-After": str(seconds)}


class LimitReached(ProxyError):
    """A limit that the operator set has no room for the call. OpenAI tells a budget (a quota) from a rate."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"

    def __init__(self, message, headers, is_budget):
        super().__init__(message)
        self.headers = headers
        if is_budget:
            self.type = self.code = "insufficient_quota"


class ClientGone(ProxyError):
    """The client left before its request was read; nobody will see this answer."""

    status, type, code = 400, "invalid_request_error", "client_gone"
    outcome = "client_gone"


class Unavailable(ProxyError):
    """A store that the answer needs cannot be reached now."""

    status, type, code = 503, "server_error", "unavailable"
    headers = {"Retry-After": "5"}


class NotReady(Unavailable):
    """This process cannot do its work now; whoever distributes the load should send it none."""

    code = "not_ready"
    headers = {"Retry-After": "1"}


class Interrupted(Unavailable):
    """The process stops before the answer is complete."""

    code = outcome = "interrupted"


class UpstreamError(ProxyError):
    """The upstream cannot be reached, or breaks before it answers."""

    status, type, code = 502, "upstream_error", "upstream_unreachable"
    outcome = "upstream_error"


class UpstreamRefusedKey(UpstreamError):
    """The upstream does not accept the proxy's own key; no retry and no change by the caller mends that."""

    code = "upstream_refused_key"
    headers = {"x-should-retry": "false"}


class UpstreamRefused(UpstreamError):
    """The upstream refused a prompt: its own status, words and waiting time are the answer."""

    status = "4XX"  # one of these; each has its own

    def __init__(self, status, error, headers):
        super().__init__(f"The upstream refused the prompt: {error.get('message') or f'status {status}.'}"[:4000])
        self.status = status
        self.type = error.get("type") or "invalid_request_error"
        self.code = error.get("code") or "upstream_refused"
        self.headers = headers


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    status, code = 504, "upstream_timeout"
    outcome = "timeout"


class UpstreamBroke(UpstreamError):
    """The upstream broke off in the middle of its answer."""

    code = outcome = "upstream_truncated"


class SettingError(Exception):
    """A setting has a value that cannot be used; the sentence names it. Stops the start."""


def place_of(error):
    """The type of an error and where it arose: all that a log may hold of one whose text may repeat what somebody sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next:
        trace = trace.tb_next
    where = f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else ""
    return type(error).__name__ + where
