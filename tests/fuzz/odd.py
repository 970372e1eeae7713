"""Requests that nobody thinks of: odd values, in every encoding that the endpoints read."""
import json
from urllib.parse import urlencode

from hypothesis import strategies as st

from tests.canary import SPOKEN

ENCODINGS = ("form", "json", "multipart", "query", "json by curl")
BOUNDARY = "b0undary"
# Hypothesis takes words from the code too: those that the canary looks for must not come in by this door.
words = st.text(max_size=40).filter(lambda text: not SPOKEN.search(text))
texts = words | st.sampled_from(("", " ", "\0", "a\nb", "\ufffd", "\ud800", "ä̈", "\u2028", "x" * 31, "y" * 255, "' OR 1=1 --", "%00", "..", "a,b"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from((0, -1, 1 << 63, 1 << 200, 1e400, "true", "1001")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def encoded(fields, encoding):
    """(query, body, Content-Type) of a request with these fields."""
    pairs = [(name, value) for name, found in fields.items() for value in _as_texts(found)]
    query = urlencode(pairs, errors="surrogatepass")
    if encoding == "query" and len(query) < 3000:  # longer ones do not fit into the first line of a request
        return query, b"", None
    if encoding == "multipart":
        return "", _multipart(pairs), f"multipart/form-data; boundary={BOUNDARY}"
    if encoding.startswith("json"):
        return "", json.dumps(fields).encode(), "application/json" if encoding == "json" else "application/x-www-form-urlencoded"
    return "", query.encode(), "application/x-www-form-urlencoded"


def _as_texts(value):
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    return [value if isinstance(value, str) else json.dumps(value)]


def _multipart(pairs):
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (BOUNDARY.encode(), _raw(name.translate({10: "%0A", 13: "%0D", 34: "%22"})), _raw(value))
        for name, value in pairs
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _raw(text):
    return text.encode("utf-8", "surrogatepass")
