"""From API_URL and the caller's path to the upstream's: plain OpenAI, and both of Azure's forms."""
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from proxy_gpt.errors import BadRequest

# What Azure's classic form keeps below a deployment; everything else is beside the deployments.
# https://learn.microsoft.com/azure/ai-foundry/openai/reference
IN_DEPLOYMENT = (
    "/completions", "/chat/completions", "/embeddings", "/images/generations", "/images/edits",
    "/audio/transcriptions", "/audio/translations", "/audio/speech",
)  # fmt: skip
DEPLOYMENT = re.compile(r"(?P<root>.*/openai)/deployments/(?P<name>[^/]+)")
AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
# What a server that decodes once more, or ends a segment at its parameters, could take for a way out.
HIDDEN = re.compile(r"%(25)*(2e|2f|5c)", re.IGNORECASE)
API_VERSION = re.compile(r"(?:^|&)api-version=")


@dataclass(frozen=True)
class Address:
    """Where the upstream is, and how it wants to be called."""

    origin: str  # scheme://host[:port]
    root: str  # what stands where callers write /v1
    deployment: str  # the root for what Azure keeps below a deployment, else ""
    query: str  # what API_URL wants on every call
    azure: bool

    def target(self, path, query):
        """The request target for the path below /v1 and the caller's query, both byte for byte."""
        root = self.deployment if self.deployment and path in IN_DEPLOYMENT else self.root
        queries = [query] if query else []
        if self.query and not API_VERSION.search(query):
            queries.append(self.query)
        return root + path + ("?" + "&".join(queries) if queries else "")

    def credential(self, key):
        """The header that carries the shared key: ("Authorization" or "api-key", value), or None without a key."""
        if not key:
            return None
        return ("api-key", key) if self.azure else ("Authorization", f"Bearer {key}")


def parse(api_url):
    """The address that API_URL (already checked) means."""
    url = urlsplit(api_url)
    origin, path = f"{url.scheme}://{url.netloc.rpartition('@')[2]}", url.path.rstrip("/")
    classic = DEPLOYMENT.match(path)
    if classic:
        return Address(origin, classic["root"], f"{classic['root']}/deployments/{classic['name']}", url.query, True)
    if (url.hostname or "").endswith(AZURE_HOSTS) and path in ("", "/openai"):
        path = "/openai/v1"
    return Address(origin, path.removesuffix("/v1") + "/v1", "", url.query, path.endswith("/openai/v1"))


def split_target(raw):
    """(path below /v1, query) of a request target as it came, percent signs and all.

    Raises BadRequest when it could mean something outside /v1 to a server that decodes it.
    """
    if not raw.startswith("/"):  # the absolute form that proxies are sent, RFC 9112 section 3.2.2
        raw = "/" + raw.partition("://")[2].partition("/")[2]
    path, _, query = raw.partition("?")
    decoded = unquote(unquote(path)).replace("\\", "/") if "%" in path or "\\" in path else path
    segments = decoded.replace(";", "/").split("/")
    if not path.startswith("/v1/") or "#" in raw or ".." in segments or "." in segments or not _is_plain(decoded):
        raise BadRequest("The path must stay below /v1/, without '.' or '..' segments, '#' or control characters, in UTF-8.")
    return path.removeprefix("/v1"), query


def _is_plain(decoded):
    """Whether a decoded path has no control characters, nothing that was not UTF-8, and no dot or slash still hidden in it."""
    return decoded.isprintable() and "\ufffd" not in decoded and not HIDDEN.search(decoded)
