"""Every form that API_URL may have leads where that upstream wants to be called, with the header it wants for its key."""
import functools

import pytest

from proxy_gpt.upstream.address import parse
from tests.conftest import KEY
from tests.fake_openai import whole

CLASSIC = "/openai/deployments/D"
VERSION = "api-version=2022-12-01"
SERVERS = {
    "classic": f"{CLASSIC}/completions?{VERSION}", "Azure v1": "/openai/v1", "plain": "", "plain with /v1": "/v1", "below a path": "/llm/v1/",
}  # fmt: skip
ASKED = [  # the form, what the caller asks for, what the upstream is asked for
    ("classic", "/chat/completions", f"{CLASSIC}/chat/completions?{VERSION}"),
    ("classic", "/embeddings", f"{CLASSIC}/embeddings?{VERSION}"),
    ("classic", "/audio/transcriptions", f"{CLASSIC}/audio/transcriptions?{VERSION}"),
    ("classic", "/completions?a=b&c=%20", f"{CLASSIC}/completions?a=b&c=%20&{VERSION}"),
    ("classic", "/completions?api-version=2030-01-01", f"{CLASSIC}/completions?api-version=2030-01-01"),
    ("classic", "/completions?a=b&api-version=2030-01-01", f"{CLASSIC}/completions?a=b&api-version=2030-01-01"),
    ("classic", "/completions?not-api-version=1", f"{CLASSIC}/completions?not-api-version=1&{VERSION}"),
    ("classic", "/models", f"/openai/models?{VERSION}"),
    ("classic", "/files/file-1", f"/openai/files/file-1?{VERSION}"),
    ("Azure v1", "/chat/completions", "/openai/v1/chat/completions"),
    ("Azure v1", "/models?a=b", "/openai/v1/models?a=b"),
    ("plain", "/chat/completions", "/v1/chat/completions"),
    ("plain with /v1", "/models?a=b", "/v1/models?a=b"),
    ("below a path", "/models", "/llm/v1/models"),
]


@pytest.fixture(scope="module")
def at(start_for_many, the_upstream):
    """A function from a form of API_URL to somebody on a server that has it."""

    @functools.cache
    def person(form):
        server = start_for_many(API_URL=the_upstream.url + SERVERS[form])
        started.append(server)
        return server.person("Eve")

    started = []
    yield person
    for server in started:
        server.end()


@pytest.mark.parametrize(("form", "path", "target"), ASKED)
def test_the_upstream_is_asked_as_it_wants(at, upstream, form, path, target):
    upstream.script(whole(b"{}"))
    assert at(form).post(f"/v1{path}", data=b"{}", headers={"api-key": "the caller's"}).status_code == 200
    asked = upstream.question()
    assert asked.target == target
    azure = form in ("classic", "Azure v1")
    assert (asked.header("api-key"), asked.header("Authorization")) == ((KEY, None) if azure else (None, f"Bearer {KEY}"))


HOST = "https://name.openai.azure.com"
FORMS = [  # API_URL, where /chat/completions is, where /models is, whether the key goes as api-key
    (f"{HOST}{CLASSIC}/completions?{VERSION}", f"{CLASSIC}/chat/completions?{VERSION}", f"/openai/models?{VERSION}", True),
    (f"{HOST}{CLASSIC}/chat/completions?{VERSION}", f"{CLASSIC}/chat/completions?{VERSION}", f"/openai/models?{VERSION}", True),
    (f"{HOST}{CLASSIC}?{VERSION}", f"{CLASSIC}/chat/completions?{VERSION}", f"/openai/models?{VERSION}", True),
    (f"{HOST}{CLASSIC}/?{VERSION}", f"{CLASSIC}/chat/completions?{VERSION}", f"/openai/models?{VERSION}", True),
    (f"{HOST}{CLASSIC}", f"{CLASSIC}/chat/completions", "/openai/models", True),
    (f"http://gateway:81/team/a{CLASSIC}?{VERSION}", f"/team/a{CLASSIC}/chat/completions?{VERSION}", f"/team/a/openai/models?{VERSION}", True),
    (f"{HOST}/openai/v1", "/openai/v1/chat/completions", "/openai/v1/models", True),
    (f"{HOST}/openai/v1/?api-version=preview", "/openai/v1/chat/completions?api-version=preview", "/openai/v1/models?api-version=preview", True),
    (f"{HOST}/openai", "/openai/v1/chat/completions", "/openai/v1/models", True),
    (HOST, "/openai/v1/chat/completions", "/openai/v1/models", True),
    ("https://name.services.ai.azure.com/openai/v1/", "/openai/v1/chat/completions", "/openai/v1/models", True),
    ("https://api.openai.com", "/v1/chat/completions", "/v1/models", False),
    ("https://api.openai.com/v1/", "/v1/chat/completions", "/v1/models", False),
    ("https://api.groq.com/openai", "/openai/v1/chat/completions", "/openai/v1/models", False),
    ("https://openai.azure.com.example/", "/v1/chat/completions", "/v1/models", False),
]


@pytest.mark.parametrize(("api_url", "chat", "models", "azure"), FORMS)
def test_each_form_of_the_address_is_understood(api_url, chat, models, azure):
    address = parse(api_url)
    assert (address.target("/chat/completions", ""), address.target("/models", "")) == (chat, models)
    assert address.origin == api_url.partition("//")[0] + "//" + api_url.split("/")[2]
    assert address.credential("k") == (("api-key", "k") if azure else ("Authorization", "Bearer k"))
    assert address.credential("") is None
