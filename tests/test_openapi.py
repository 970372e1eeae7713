"""/openapi.json: valid, of all routes and no others, and true of each field. (That answers are as described: see described.py.)"""
from dataclasses import replace

import pytest
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

import proxy_gpt
from proxy_gpt import openapi
from proxy_gpt.fields import REQUIRED, Flag, Texts, Whole
from tests import described
from tests.conftest import numbers
from tests.server import error_of
from tests.wire import forwarded

WRONG = {"a": 1}  # is no text, no number, no flag and no list


@pytest.fixture(scope="module")
def served(sqlite_proxy):
    """The answer at /openapi.json."""
    return requests.get(f"{sqlite_proxy.url}/openapi.json", timeout=10)


def operations(document):
    """(path, method, operation) of all."""
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def test_it_is_valid_and_of_this_version(served):
    document = served.json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"]["version"] == proxy_gpt.__version__ and served.headers["Content-Type"] == "application/json"
    assert document == described.document()


def test_it_has_all_routes_with_their_methods_and_no_others(served):
    app = described.application()
    routes = {(openapi.path_of(rule), name) for rule in app.url_map.iter_rules() if not rule.websocket for name in openapi.methods_of(rule)}
    assert {(path, method.upper()) for path, method, _ in operations(served.json())} == routes and len(routes) > 30
    sockets = {openapi.path_of(rule) for rule in app.url_map.iter_rules() if rule.websocket}
    assert sockets == {"/chat/stream", "/v1/{below}"}
    for path, status in ("/chat/stream", "101"), ("/v1/{below}", "501"):
        said = served.json()["paths"][path]["get"]
        assert status in said["responses"] and "WebSocket" in said["description"]


def test_each_operation_says_in_a_sentence_what_it_does_and_each_field_what_it_is(served):
    for path, method, operation in operations(served.json()):
        assert operation["summary"].endswith("."), (path, method)
        schemas = [kind.get("schema", {}) for kind in operation.get("requestBody", {}).get("content", {}).values()]
        abouts = [about["description"] for schema in schemas for about in schema.get("properties", {}).values()]
        abouts += [parameter["description"] for parameter in operation["parameters"] if parameter["in"] == "query"]
        assert all(about.endswith(".") for about in abouts), (path, method)


def test_who_has_it_already_gets_it_no_second_time(served, sqlite_proxy):
    again = requests.get(f"{sqlite_proxy.url}/openapi.json", headers={**forwarded(), "If-None-Match": served.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
    assert sqlite_proxy.event(again)["bytes_out"] == 0


def test_each_way_of_saying_who_one_is_gets_in(served, sqlite_proxy, dora):
    schemes = served.json()["components"]["securitySchemes"]
    ways = {
        ("http", "bearer"): {"headers": {"Authorization": f"Bearer {dora.token}"}},
        ("http", "basic"): {"auth": (dora.name, dora.token)},
        ("apiKey", "cookie"): {"cookies": {schemes["cookie"]["name"]: dora.token}},
    }
    described_ways = {(scheme["type"], scheme.get("scheme") or scheme["in"]) for name, scheme in schemes.items() if name != "token"}
    assert described_ways == set(ways)
    for how in ways.values():
        assert requests.get(f"{sqlite_proxy.url}/user/session", timeout=10, **how).status_code == 200
    chat = dora.ask("/chat/create").json()["id"]
    parameters = {"id": chat, schemes["token"]["name"]: dora.token}
    with requests.get(f"{sqlite_proxy.url}/chat/stream", params=parameters, stream=True, timeout=10) as answer:
        assert answer.status_code == 200


def test_what_is_open_according_to_it_is_open_and_the_rest_is_not(served, sqlite_proxy):
    for path, method, operation in operations(served.json()):
        answer = requests.request(method, sqlite_proxy.url + path, json={}, timeout=10)
        answered = answer.status_code != 401 or answer.json()["error"]["code"] == "invalid_credentials"
        assert answered == (operation.get("security") == [] or {} in operation.get("security", ())), (path, method)


def declared():
    """(path, view, field) of all fields. A WebSocket's are those of the event stream."""
    app = described.application()
    views = [(rule.rule, app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules() if not rule.websocket]
    return [(path, view, field) for path, view in views for field in getattr(view, "fields", ())]


def each(cases):
    """A test for each (path, view, field) or (path, view, field, value)."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case[0]} {case[2].name} {str(case[3:])[:30]}")


@pytest.fixture(scope="module")
def refused(sqlite_proxy, dora):
    """What is said of the value of a field in a request that is right otherwise, as far as it must be for the field to be looked at."""
    ids = {"chat": dora.ask("/chat/create").json()["id"], "team": dora.ask("/team/create", name="t").json()["id"]}

    def ask(path, view, field, value):
        others = [other for other in view.fields if other.default is REQUIRED and field.name not in names_instead_of(other)]
        values = {other.name: dora.password if "old" in other.name else f"value {next(numbers)}" for other in others}
        if "id" in values:
            values["id"] = ids[path.split("/")[1]]
        return error_of(dora.post(path, json={**values, field.name: value}), 400)["param"]

    return ask


def names_instead_of(field):
    """The fields of which one must be there."""
    return field.name, *getattr(field, "also", ()), *field.unless


@each(declared())
def test_a_wrong_value_of_each_field_is_refused_by_its_name(refused, case):
    assert refused(*case, WRONG) == case[2].name


@each([(*case, case[2].also[0]) for case in declared() if getattr(case[2], "also", ())])
def test_the_other_name_of_a_field_is_as_good(refused, case):
    path, view, field, name = case
    assert refused(path, view, replace(field, name=name), WRONG) == name


def too_much(field):
    """Values beyond the bounds that a field declares."""
    if isinstance(field, Whole):
        return [field.least - 1, field.most + 1]
    if isinstance(field, Texts):
        return [["nobody"] * (field.most + 1)]
    return [] if isinstance(field, Flag) else [""] * bool(field.least) + ["x" * ((field.most or 0) + 1)] * bool(field.most)


@each([(*case, value) for case in declared() for value in too_much(case[2])])
def test_what_is_beyond_the_bounds_of_a_field_is_refused_by_its_name(refused, case):
    assert refused(*case) == case[2].name


@pytest.mark.parametrize("path", ["/chat/prompt", "/v1/{below}"])
def test_a_call_that_a_limit_can_refuse_says_so(path):
    said = described.document()["paths"][path]["post"]["responses"]
    assert {"403", "404", "429"} <= set(said) and said["429"]["$ref"].endswith("/LimitReached")
