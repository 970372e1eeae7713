"""Bytes that are nearly HTTP, sent to every kind of endpoint: no fault of ours, and nothing goes upstream that should not."""
import pytest
from hypothesis import given, settings

from tests import canary
from tests.fuzz.raw import exchange, messages, statuses
from tests.test_fuzz import COMMON, FAULT

RFC_9112 = (501, 505)  # a transfer coding and a version that a server does not know are to be answered so


def throw(server, upstream, how):
    """Send the bytes of so many examples, each over a connection of its own."""
    person = server.person("Alice")

    @given(messages([f"Bearer {person.token}".encode()] * 2))
    def thrown(message):
        is_known, data = message
        upstream.forget()
        said = exchange(server.port, data)
        canary.keep("an answer to bytes", said.decode("latin-1"))
        found = statuses(said)
        assert all(status < 500 or status in RFC_9112 for status in found), said
        assert len(upstream.questions) <= (len(found) if is_known else 0)
        for question in upstream.questions:
            assert question.target.startswith("/v1/") and "smuggled" not in question.target
            assert question.header("Authorization") == f"Bearer {canary.KEY}" and person.token not in str(question.headers)

    settings(how)(thrown)()
    assert FAULT.findall(server.output()) == []


def test_bytes_that_are_nearly_http_do_no_harm(start, upstream):
    throw(start(), upstream, settings(max_examples=300, derandomize=True, **COMMON))


@pytest.mark.long
def test_nor_do_they_all_night(start, upstream):
    throw(start(), upstream, settings(max_examples=10_000, print_blob=True, **COMMON))
