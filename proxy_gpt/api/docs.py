"""/openapi.json and /docs: the description of all endpoints, for programs, and for people with Swagger UI."""
from pathlib import Path

from flask import Blueprint, Response, current_app, g, request, send_from_directory

from proxy_gpt import auth, openapi
from proxy_gpt.answers import answers
from proxy_gpt.errors import NotFound
from proxy_gpt.events import audited
from proxy_gpt.models import Kind
from proxy_gpt.views import TEXT

blueprint = Blueprint("docs", __name__)
NOT_MODIFIED = 304
FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")  # of Swagger UI's, all that the page asks for
OBJECT, OBJECTS = {"type": "object"}, [{"type": "object"}]
DOCUMENT = {
    "openapi": TEXT, "info": OBJECT, "servers": OBJECTS, "security": OBJECTS, "tags": OBJECTS, "paths": OBJECT, "components": OBJECT,
}  # fmt: skip
OWN_SITE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # ask each time whether it is another one: an update must be seen at once
}
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Proxy GPT</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
    url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true,
    validatorUrl: null,  // nobody else hears of this API
});
"""


@blueprint.get("/openapi.json")
@auth.open_to_everyone
@audited(Kind.DOCS)
@answers(DOCUMENT)
def description():
    """This description, in OpenAPI 3.1."""
    known = current_app.extensions
    if "openapi" not in known:  # made when it is first asked for: a start need not wait for it
        known["openapi"] = current_app.json.dumps(openapi.document(current_app))
    return _own(known["openapi"], "application/json")


@blueprint.get("/docs", strict_slashes=False)
@auth.open_to_everyone
@audited(Kind.DOCS)
@answers(TEXT, kind="text/html")
def page():
    """This description to read and to try out, in a browser."""
    return _own(PAGE, "text/html")


@blueprint.get("/docs/<name>")
@auth.open_to_everyone
@audited(Kind.DOCS)
@answers(TEXT, NotFound, kind="*/*")
def file(name):
    """What the page needs: its script, and files of Swagger UI's."""
    if name == "start.js":
        return _own(START, "text/javascript")
    if name not in FILES:
        raise NotFound("The documentation has no such file. It is at /docs.")
    import flask_swagger_ui  # here, since nobody else needs it; of the package, its copy of Swagger UI is all that is used

    response = send_from_directory(Path(flask_swagger_ui.__file__).parent / "dist", name)
    response.headers.update(OWN_SITE)
    response.direct_passthrough = False  # past Werkzeug nobody would finish the event
    if response.status_code != NOT_MODIFIED:
        g.event.bytes_out = response.content_length
    return response


def _own(text, kind):
    response = Response(text, content_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, headers=OWN_SITE)
    response.add_etag()
    response.make_conditional(request)
    if response.status_code == NOT_MODIFIED:
        response.set_data("")
    return response
