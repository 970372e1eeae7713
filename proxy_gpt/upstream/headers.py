"""Which headers pass, in each direction. All others pass as they came."""
from functools import lru_cache

from proxy_gpt.errors import Malformed


class Names:
    """A set of header names in lower case; one that ends in `*` stands for all names that begin so."""

    def __init__(self, *groups):
        names = " ".join(groups).split()
        self.exact = frozenset(name for name in names if not name.endswith("*"))
        self.prefixes = tuple(name[:-1] for name in names if name.endswith("*"))

    def __contains__(self, name):
        return name in self.exact or name.startswith(self.prefixes)


HOP_BY_HOP = "connection keep-alive proxy-* te trailer transfer-encoding upgrade"  # RFC 9110, section 7.6.1: about one connection, not the message
NOT_UPSTREAM = Names(
    HOP_BY_HOP,
    "host content-length expect x-proxy-team",  # meant for this server, which sends its own
    "authorization api-key x-api-key cookie",  # the caller's credential; the shared key takes its place
    "origin referer sec-*",  # what a browser says of its page
    # What a front adds for this server: addresses, certificates, and the person it let in.
    "forwarded x-forwarded-* x-original-* x-real-ip x-client-ip x-cluster-client-ip client-ip true-client-ip via cdn-loop x-request-start",
    "client-cert client-cert-chain ssl-client-* x-client-cert* x-ssl-*",
    "remote-* x-remote-* x-webauth-* x-auth-request-* x-authentik-* x-pomerium-* x-consumer-* x-credential-* tailscale-* teleport-*",
    "x-userinfo x-access-token x-id-token x-refresh-token x-apigateway-api-userinfo x-endpoint-api-userinfo x-serverless-authorization",
    "cf-* fastly-* fly-* cloudfront-* x-amz-cf-* x-vercel-* x-nf-* akamai-* x-akamai-* x-heroku-* ngrok-*",
    "x-amzn-* x-envoy-* x-cloud-trace-context x-appengine-* x-goog-iap-* x-goog-authenticated-user-*",
    "x-azure-* x-arr-* x-ms-client-principal* x-ms-token-*",
)  # fmt: skip
FOR_BEDROCK = "x-amzn-bedrock-"  # no front adds these: the caller chooses a guardrail with them
NOT_DOWNSTREAM = Names(
    HOP_BY_HOP,
    "date server x-proxy-request-id",  # this server sends its own, and none may be there twice
    "x-content-type-options content-security-policy*",  # BELOW_V1 comes in their place
    # What the upstream says of its own origin, which is not this one.
    "set-cookie set-cookie2 set-login clear-site-data service-worker-allowed refresh strict-transport-security alt-svc",
    "access-control-* cross-origin-* origin-agent-cluster origin-trial timing-allow-origin referrer-policy permissions-policy feature-policy",
    "document-policy* accept-ch critical-ch speculation-rules use-as-dictionary",
    "nel report-to reporting-endpoints expect-ct public-key-pins*",
    "x-accel-* x-sendfile x-lighttpd-send-file",  # commands to a front, which would be ours
)  # fmt: skip
ORGANIZATION = Names("openai-organization openai-project")  # up they steer the shared key's billing, down they say whose key it is
ESSENTIAL = Names("content-* accept* authorization cookie host")  # without these a request means something else
NO_SNIFFING = (("X-Content-Type-Options", "nosniff"),)
# A browser runs no script of an answer below /v1/, and takes it for a page of no origin.
BELOW_V1 = (*NO_SNIFFING, ("Content-Security-Policy", "sandbox; default-src 'none'"))
EVENT_STREAM = "text/event-stream"


def upstream(environ, allow_organization):
    """The caller's headers that go to the upstream, from the WSGI environment. Raises Malformed."""
    headers = {}
    for key, value in environ.items():
        if key.startswith("HTTP_") and (name := _sent_up(key, allow_organization)):
            headers[name] = value
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    for name in _listed(environ.get("HTTP_CONNECTION", "")):
        if name in ESSENTIAL:
            raise Malformed("The Connection header must not name content-*, accept*, authorization, cookie or host. Remove these names.")
        headers.pop(name.title(), None)
    return headers


def downstream(pairs, allow_organization):
    """The upstream's headers that go to the caller, as a list of pairs."""
    kept, hops = [], ()
    for pair in pairs:
        if _goes_down(pair[0], allow_organization):
            kept.append(pair)
        elif pair[0].lower() == "connection":
            hops = [*hops, *(name for name in _listed(pair[1]) if not name.startswith("content-") and name not in NOT_DOWNSTREAM)]
    return [pair for pair in kept if pair[0].lower() not in hops] if hops else kept


def _listed(connection):
    return [name.strip().lower() for name in connection.split(",")]


@lru_cache(maxsize=1024)
def _sent_up(key, allow_organization):
    """The Header-Name for a WSGI key such as HTTP_HEADER_NAME; "" if it does not go to the upstream."""
    lower = key[5:].replace("_", "-").lower()
    dropped = lower in NOT_UPSTREAM and not lower.startswith(FOR_BEDROCK) or lower in ORGANIZATION and not allow_organization
    return "" if dropped else lower.title()


@lru_cache(maxsize=1024)
def _goes_down(name, allow_organization):
    lower = name.lower()
    return lower not in NOT_DOWNSTREAM and (allow_organization or lower not in ORGANIZATION)
