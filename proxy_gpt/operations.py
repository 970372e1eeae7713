"""Which of OpenAI's operations are closed to everybody, and which a caller with a budget may use.

Paths are compared below /v1, decoded once and without a slash at the end. What goes upstream stays as it came.
"""
import re
from functools import lru_cache

from proxy_gpt.errors import BadRequest, OperationClosed, OperationNotMetered

# They hand out keys that work without the proxy (the second line: Azure's and the beta's names for the first).
MINTING = frozenset((
    "realtime/client_secrets", "realtime/translations/client_secrets", "realtime/calls", "live/sessions", "chatkit/sessions",
    "realtime/sessions", "realtime/transcription_sessions", "realtimeapi/sessions",
))  # fmt: skip
# They administer the account of the shared key, or tell about its owner.
ADMINISTRATION = re.compile(r"(?:organizations?|projects|me|usage|dashboard|fine_tuning/checkpoints/[^/]+/permissions)(?:/.*)?", re.DOTALL)
READING = ("GET", "HEAD", "OPTIONS", "DELETE")  # cost nothing in the families below
FAMILIES = re.compile(
    r"(?:models|files|uploads|chat/completions|responses|conversations|batches|fine_tuning|vector_stores|videos|evals|containers|assistants|threads)"
    r"(?:/.*)?", re.DOTALL
)  # fmt: skip
FREE_POSTS = re.compile(
    r"files|uploads(?:/ID/(?:parts|complete|cancel))?|moderations|chat/completions/ID|responses/(?:input_tokens|ID/cancel)"
    r"|conversations(?:/ID(?:/items)?)?|(?:batches|fine_tuning/jobs)/ID/cancel|fine_tuning/jobs/ID/pause".replace("ID", "[A-Za-z0-9_.:-]+")
)  # fmt: skip
METERED_POSTS = frozenset((
    "chat/completions", "completions", "responses", "responses/compact", "embeddings",
    "audio/transcriptions", "audio/translations", "images/generations", "images/edits",
))  # fmt: skip
FREE, METERED, UNKNOWN = "free", "metered", "unknown"
NO_KEYS = "This endpoint hands out keys that work without the proxy. The operator can open it by ALLOW_CLIENT_SECRETS."
NO_ADMINISTRATION = "This endpoint administers the shared key's account. Ask the operator, who can use it without the proxy."
NOT_METERED = "What '{} {}' costs is not known, and your use is limited. The operator can open it by ALLOW_UNMETERED."
DOUBLE_SLASH = "The path has '//' in it. Send it with single slashes."


def require_open(endpoint, allow_client_secrets):
    """Raise OperationClosed where an endpoint below /v1 is closed to everybody."""
    path = _loosely(endpoint)
    if path in MINTING and not allow_client_secrets:
        raise OperationClosed(NO_KEYS)
    if ADMINISTRATION.fullmatch(path):
        raise OperationClosed(NO_ADMINISTRATION)


def cost_of(method, endpoint, allow_unmetered):
    """Return FREE, METERED, or UNKNOWN where the operator opened the path.

    `allow_unmetered` are the operator's paths; a `*` at the end stands for anything. Raises OperationNotMetered for
    other operations of unknown cost, BadRequest for an odd path.
    """
    if "//" in endpoint:
        raise BadRequest(DOUBLE_SLASH)
    path = endpoint.removeprefix("/v1/").rstrip("/")
    if method == "POST" and path in METERED_POSTS:
        return METERED
    if FAMILIES.fullmatch(path) if method in READING else method == "POST" and FREE_POSTS.fullmatch(path):
        return FREE
    if _is_allowed(f"/v1/{path}", allow_unmetered):
        return UNKNOWN
    raise OperationNotMetered(NOT_METERED.format(method[:20], endpoint[:100]))


@lru_cache(1024)
def _loosely(endpoint):
    """The path as the most forgiving server could read it: no parameters, no empty segments, no capitals."""
    segments = (segment.partition(";")[0].strip().lower() for segment in endpoint.removeprefix("/v1/").split("/"))
    return "/".join(filter(None, segments))


def _is_allowed(path, patterns):
    return any(path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern.rstrip("/") for pattern in patterns)
