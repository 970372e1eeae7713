"""A page of events out of five million, on both databases."""
import pytest

from tests.bench.event_pages import PAGE, QUESTIONS, ROWS, log, seconds

SOON = 0.2  # seconds


@pytest.mark.long
def test_a_page_comes_soon_whatever_is_asked_for(backend, tmp_path):
    with log(backend, tmp_path, ROWS):
        taken = {name: min(seconds(question) for _ in range(3)) for name, question in QUESTIONS.items()}
    assert {name: found for name, (_, found) in taken.items() if found > PAGE} == {}
    assert {name: spent for name, (spent, _) in taken.items() if spent > SOON} == {}
