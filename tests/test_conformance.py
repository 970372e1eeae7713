"""schemathesis reads /openapi.json and asks for everything in it, rightly and wrongly: the server does as it says, and has no fault."""
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import described
from tests.test_fuzz import UNLIMITED

CASES = 5  # right ones and as many wrong ones for each operation
MANY = int(os.environ.get("CONFORMANCE_CASES", "200"))
NOT_ASKED = ("/v1/{below}", "/chat/stream")  # the upstream's own answers; an answer without an end
OPERATIONS = [(path, method) for path, item in described.document()["paths"].items() if path not in NOT_ASKED for method in item]


@pytest.fixture(scope="module", params=["postgres", pytest.param("sqlite", marks=pytest.mark.long)])
def backend(request):
    """PostgreSQL is the one that refuses more; what is answered is the same."""
    return request.param


@pytest.fixture(scope="module")
def house(start, new_database, backend):
    """A person on a server of these tests' own, and the ids of what is hers."""
    server = start(DB_ADDRESS=new_database(backend), **UNLIMITED)
    person = server.person("Grace")
    return person, {"team": person.ask("/team/create", name="t").json()["id"], "chat": person.ask("/chat/create").json()["id"]}


@pytest.fixture(scope="module")
def schema(house):
    """What the server says of itself, as schemathesis reads it."""
    import schemathesis  # here: whoever runs other tests need not wait for it

    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_url(f"{house[0].server.url}/openapi.json", config=config)


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_the_server_answers_as_it_says(schema, house, upstream, operation):
    run(schema, house, *operation, CASES)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_it_does_so_whatever_is_asked(schema, house, upstream, operation):
    run(schema, house, *operation, MANY)


def run(schema, house, path, method, cases):
    """Ask for an operation so many times, of each kind."""
    from schemathesis import GenerationMode, checks
    from schemathesis.specs.openapi import checks as of_openapi

    wanted = [checks.not_a_server_error, of_openapi.status_code_conformance, of_openapi.content_type_conformance,
              of_openapi.response_schema_conformance, of_openapi.response_headers_conformance]  # fmt: skip
    person, ids = house
    headers = {} if path == "/user/logout" else {"Authorization": f"Bearer {person.token}"}  # she stays
    asked = schema[path][method]
    for mode in GenerationMode if asked.body or asked.query else [GenerationMode.POSITIVE]:  # nothing at all cannot be wrong
        @settings(max_examples=cases, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=asked.as_strategy(generation_mode=mode), known=st.booleans())
        def ask(case, known):
            if known:
                name_what_is_there(case, ids.get(path.split("/")[1], person.id))
            case.call_and_validate(checks=wanted, headers=headers, timeout=20)

        ask()


def name_what_is_there(case, identity):
    """Let a request be about something that exists, where it has a field for that."""
    for values in (case.body, case.query):
        if isinstance(values, dict) and "id" in values:
            values["id"] = identity
