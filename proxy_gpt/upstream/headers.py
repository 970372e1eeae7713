"""Which headers pass, in each direction. All others pass as they came."""
from functools import lru_cache

# RFC 9110, section 7.6.1: these speak of one connection, not of the message.
HOP_BY_HOP = frozenset(("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
                        "te", "trailer", "transfer-encoding", "upgrade"))  # fmt: skip
NOT_UPSTREAM = HOP_BY_HOP | {
    "host", "cookie", "authorization", "api-key", "forwarded", "content-length", "x-proxy-team",
    "expect",  # gunicorn has answered it
}  # fmt: skip
ORGANIZATION = frozenset(("openai-organization", "openai-project"))  # steer the shared key's billing
# Date and Server: gunicorn sends its own, and neither may be there twice.
NOT_DOWNSTREAM = HOP_BY_HOP | {"set-cookie", "date", "server", "x-proxy-request-id"}
EVENT_STREAM = "text/event-stream"


def upstream(environ, allow_organization):
    """The caller's headers that go to the upstream, from the WSGI environment."""
    dropped = NOT_UPSTREAM if allow_organization else NOT_UPSTREAM | ORGANIZATION
    if "HTTP_CONNECTION" in environ:
        dropped = dropped | _listed(environ["HTTP_CONNECTION"])
    headers = {}
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name, lower = _spelled(key)
            if lower not in dropped and not lower.startswith("x-forwarded-"):
                headers[name] = value
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    return headers


def downstream(pairs):
    """The upstream's headers that go to the caller, as a list of pairs."""
    dropped = NOT_DOWNSTREAM
    kept = []
    for name, value in pairs:
        lower = name.lower()
        if lower == "connection":
            dropped = dropped | _listed(value)
        elif lower not in NOT_DOWNSTREAM:
            kept.append((name, value))
    if dropped is not NOT_DOWNSTREAM:
        kept = [(name, value) for name, value in kept if name.lower() not in dropped]
    return kept


def _listed(connection):
    return {name.strip().lower() for name in connection.split(",")}


@lru_cache(maxsize=1024)
def _spelled(key):
    """(Header-Name, header-name) for a WSGI key such as HTTP_HEADER_NAME."""
    lower = key[5:].replace("_", "-").lower()
    return lower.title(), lower
