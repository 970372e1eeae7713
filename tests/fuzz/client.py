"""Who asks in anybody's name; every answer is looked at: no fault of ours, and errors in their shape."""
import json
from base64 import b64encode

import requests
from requests.cookies import RequestsCookieJar

from tests import described
from tests.fuzz.odd import encoded
from tests.server import error_of

REFUSALS = (400, 401, 403, 404, 405, 409, 413, 415, 429, 431)
SECONDS = 20  # in which every answer must be there


class NoCookies(RequestsCookieJar):
    """Keeps none: what is sent is what a test says."""

    def set_cookie(self, *_, **__):
        """Drop it."""


class Client:
    """Asks in anybody's name, and counts."""

    def __init__(self, server):
        self.server = server
        self.total = 0
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies = NoCookies()

    def ask(self, caller, path, fields=None, encoding="form", method="POST", **more):
        """The answer to a caller, who is a (person or None, way to say so). It is no fault of ours, and looks as it should."""
        query, body, content_type = encoded(fields or {}, encoding)
        answer = self.send(caller, method, f"{path}?{query}" if query else path, body, content_type, **more)
        described.check(answer)
        assert answer.status_code < 500, f"{answer.status_code} {method} {path} {fields} {encoding}: {answer.text}"
        if answer.status_code in REFUSALS:
            error_of(answer, answer.status_code)
        return answer

    def send(self, caller, method, target, body=b"", content_type=None, **more):
        """The answer, whatever it is."""
        headers = {**credential(*caller), **({"Content-Type": content_type} if content_type else {})}
        self.total += 1
        return self.session.request(
            method, self.server.url + target, data=body, headers=headers, allow_redirects=False, timeout=SECONDS, **more
        )  # fmt: skip


def credential(person, way):
    """The header by which somebody says who he is."""
    if way == "wrong token":
        return {"Authorization": "Bearer nobody-has-this-one"}
    if person is None:
        return {}
    if way == "cookie":
        return {"Cookie": f"sess={person.token}"}
    if way == "basic":
        return {"Authorization": "Basic " + b64encode(f"{person.name}:{person.token}".encode()).decode()}
    return {"Authorization": f"Bearer {person.token}"}


def sent_text(fields):
    """All that was sent in fields, as one text: it may come back in an error."""
    return json.dumps(fields, ensure_ascii=False)
