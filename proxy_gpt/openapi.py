"""The OpenAPI 3.1 document: made from the routes, and from what stands above each view: its fields, answers and docstring."""
import inspect
import re
import sys

import proxy_gpt
from proxy_gpt import auth, errors, schemas
from proxy_gpt.body import JSON
from proxy_gpt.views import TEXT, Shape, or_null

DOCUMENTED = ("GET", "POST")  # Flask adds HEAD and OPTIONS
ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")  # what has a name of its own in OpenAPI, of routes for all methods
ABOUT = """
Requests come with a token from `/user/signup` or `/user/login`, in one of the ways below. POST takes a form, a multipart form or JSON,
and query parameters as well; a body that begins with `{` is JSON whatever its type says. Unknown fields are ignored, `null` is as
good as nothing, and flags and numbers may come as text. Times are RFC 3339 in UTC.

Errors have OpenAI's shape, also those that any address may answer: 404 for no such endpoint, 405 with `Allow`, 400, 414, 417, 431, 501
and 505 for what is not HTTP or too long, 500 for a fault of the proxy. `x-proxy-request-id` names the row of the event log.
"""
ERROR = Shape("Error", "What was wrong, in a sentence.", {"error": Shape("ErrorDetails", "As OpenAI writes it.", {
    "message": TEXT, "type": TEXT, "param": or_null({**TEXT, "description": "The field that is wrong."}), "code": or_null(TEXT),
})})  # fmt: skip
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`."},
    "basic": {"type": "http", "scheme": "basic", "description": "One's username, and the token as the password."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": auth.COOKIE, "description": "Set by signup and login."},
    "token": {"type": "apiKey", "in": "query", "name": "token", "description": "At /chat/stream alone: browsers set no headers there."},
}
EVERYWHERE = ("bearer", "basic", "cookie")
WITH_SESSION = (errors.Unauthorized, errors.PageOfAnotherSite, errors.Unavailable)  # what any endpoint that is not open may say
WITH_FIELDS = (errors.BadRequest, errors.RequestTimeout, errors.TooLarge, errors.UnsupportedType, errors.Unavailable)  # or that reads any
HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
REQUEST_ID = "x-proxy-request-id"


def document(app):
    """The whole document, of an application's routes."""
    shapes, paths = {}, {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.websocket)):
        path, view = paths.setdefault(path_of(rule), {}), app.view_functions[rule.endpoint]
        if rule.websocket:
            _add_web_socket(path["get"], view)
        else:
            path.update({method.lower(): _operation(method, rule, view, shapes) for method in methods_of(rule)})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Proxy GPT", "version": proxy_gpt.__version__, "description": ABOUT.strip()},
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "security": [{name: []} for name in EVERYWHERE],
        "tags": _tags(app),
        "paths": paths,
        "components": _components(shapes),
    }


def path_of(rule):
    """A route's path, as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def methods_of(rule):
    """A route's methods that the document describes."""
    return ANY_METHOD if rule.methods is None else [name for name in DOCUMENTED if name in rule.methods]


def _tags(app):
    names = {rule.endpoint.partition(".")[0] for rule in app.url_map.iter_rules()}
    modules = {name: sys.modules[app.blueprints[name].import_name] for name in sorted(names)}
    return [{"name": name, "description": module.__doc__.strip()} for name, module in modules.items()]


def _components(shapes):
    failures = {kind.__name__: _failure([kind], shapes) for kind in _kinds(errors.ProxyError)}
    return {
        "schemas": shapes,
        "responses": failures,
        "headers": {REQUEST_ID: {"description": "The id of the request's event.", "schema": TEXT}},
        "securitySchemes": SECURITY,
    }


def _kinds(kind):
    return [kind, *(deeper for other in kind.__subclasses__() for deeper in _kinds(other))]


def _operation(method, rule, view, shapes):
    answer, about = view.answer, inspect.getdoc(view)
    operation = {
        "operationId": "_".join([method.lower(), *re.findall(r"\w+", path_of(rule))]),
        "tags": [rule.endpoint.partition(".")[0]],
        "summary": about.partition("\n")[0],
        "description": about,
        "parameters": [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in sorted(rule.arguments)],
        "responses": _responses(view, shapes),
        **_asked(method, view),
    }
    if answer.link:
        operation["externalDocs"] = {"url": answer.link}
    if _is_open(view):
        operation["security"] = [{name: []} if name else {} for name in answer.security]
    return operation


def _asked(method, view):
    """What an operation takes: query parameters or a body."""
    if view.answer.whole is None:
        return {} if method == "GET" else {"requestBody": {"content": {"*/*": {}}}}
    fields = getattr(view, "fields", ())
    if method == "GET":
        return {"parameters": schemas.query_of(fields)} if fields else {}
    return {"requestBody": schemas.body_of(fields)} if fields else {}


def _add_web_socket(operation, view):
    operation["description"] += "\n\n" + inspect.getdoc(view)
    operation["responses"].update(_others(view))


def _others(view):
    return {str(status): response for status, response in view.answer.others.items()}


def _is_open(view):
    return getattr(view, "open_to_everyone", False)


def _responses(view, shapes):
    answer = view.answer
    if answer.whole is None:
        responses = {"default": _response("The upstream's answer, as it is.", answer.kind, {})}
    else:
        responses = {"200": _response("It is done.", answer.kind, {"schema": schemas.of_answer(answer.whole, shapes)})}
    for status, kinds in _errors(view).items():
        alone = {"$ref": f"#/components/responses/{kinds[0].__name__}"} if len(kinds) == 1 else None
        responses[str(status)] = alone or _failure(kinds, shapes)
    return {**responses, **_others(view)}


def _failure(kinds, shapes):
    about = " Or: ".join(inspect.getdoc(kind).partition("\n")[0] for kind in kinds)
    return _response(about, JSON, {"schema": schemas.of(ERROR, shapes)}, HEADERS.get(kinds[0].status))


def _response(about, kind, content, header=None):
    headers = {REQUEST_ID: {"$ref": f"#/components/headers/{REQUEST_ID}"}, **({header: {"schema": TEXT}} if header else {})}
    return {"description": about, "headers": headers, "content": {kind: content}}


def _errors(view):
    """{status: the errors that it stands for}."""
    kinds = [*view.answer.errors, *(() if _is_open(view) else WITH_SESSION), *(WITH_FIELDS if hasattr(view, "fields") else ())]
    found = {}
    for kind in sorted(dict.fromkeys(kinds), key=lambda kind: str(kind.status)):
        found.setdefault(kind.status, []).append(kind)
    return found
