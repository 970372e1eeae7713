"""What /openapi.json says, and whether an answer is as it says: every answer that a Person gets is held against it."""
import functools
import json
from types import ModuleType
from urllib.parse import urlsplit

from flask import Flask
from openapi_schema_validator import OAS31Validator

from proxy_gpt import app, openapi

ANYWHERE = (414, 431)  # a path or headers that are too long: said of all addresses in the description's first words
DOCUMENTS = ("/docs", "/openapi.json")


def blueprints():
    """The blueprints of all modules that the application's factory uses."""
    return [module.blueprint for module in vars(app).values() if isinstance(module, ModuleType) and hasattr(module, "blueprint")]


@functools.cache
def application():
    """The application with its routes and nothing open."""
    flask = Flask("described", static_folder=None)
    for blueprint in blueprints():
        flask.register_blueprint(blueprint)
    return flask


@functools.cache
def document():
    """The description, as it is read from JSON."""
    return json.loads(json.dumps(openapi.document(application())))


def check(answer):
    """Fail unless an answer (of requests) has a status, a type and a body that the description has for it, and nothing more."""
    path = urlsplit(answer.request.url).path
    check_guards(path, answer.headers)
    operation = document()["paths"].get(path, {}).get(answer.request.method.lower())
    if operation is None or answer.status_code in ANYWHERE:
        return
    said = resolved(operation["responses"].get(str(answer.status_code)) or operation["responses"].get(f"{answer.status_code // 100}XX"))
    assert said, f"{answer.request.method} {path} may not answer {answer.status_code}: {answer.text[:500]}"
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    assert not said.get("content") or kind in said["content"], f"{answer.request.method} {path}: {kind}"
    if kind == "application/json" and kind in said.get("content", ()):
        validator(answer.request.method.lower(), path, str(answer.status_code)).validate(answer.json())


def check_guards(path, headers):
    """Fail unless these headers tell a browser not to guess, keep or run the answer."""
    assert headers.get("X-Content-Type-Options") == "nosniff", path
    if path.startswith("/v1/"):
        assert headers.get("Content-Security-Policy") == "sandbox; default-src 'none'", path
    else:
        assert headers.get("Cache-Control") == ("no-cache" if path.startswith(DOCUMENTS) else "no-store"), path


@functools.cache
def validator(method, path, status):
    """Of the JSON bodies of such an answer; other properties than those that are described are not allowed."""
    responses = document()["paths"][path][method]["responses"]
    said = resolved(responses.get(status) or responses[f"{status[0]}XX"])
    schema = said["content"]["application/json"]["schema"]
    return OAS31Validator(closed({**schema, "components": document()["components"]}))


def resolved(thing):
    """What a reference of the document stands for."""
    if thing and "$ref" in thing:
        return functools.reduce(lambda found, name: found[name], thing["$ref"].split("/")[1:], document())
    return thing


def closed(schema):
    """A schema, all of whose objects have the properties that they name and no others."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" else {}
    return {**{name: closed(part) for name, part in schema.items()}, **more}
