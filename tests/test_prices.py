"""The table of prices: this package's own, the operator's, and what is wrong with a bad one."""
import pytest

from proxy_gpt.errors import SettingError
from proxy_gpt.metrics.catalog import OTHER, Catalog
from proxy_gpt.prices import Prices
from tests.test_settings import one_sentence
from tests.test_start import refused

TABLE = """
currency = "EUR"
[models]
"a" = { input = 2.50, cached_input = 1.25, output = 10 }
"a-mini" = { input = 0.15, output = 0.60 }
"a-2024-05-13" = { input = 5, output = 15 }
"sound" = { minute = 0.006 }
"vectors" = { input = 0.02 }
"free" = { input = 0, output = 0 }
"""


def prices(tmp_path, text):
    """The prices of a file with this text."""
    path = tmp_path / "prices.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Prices.load(str(path))


@pytest.mark.parametrize(("model", "entry"), [
    ("a", "a"), ("a-2024-08-06", "a"), ("a-0613", "a"), ("a-2024-05-13", "a-2024-05-13"), ("a-mini", "a-mini"), ("a-mini-2024-07-18", "a-mini"),
    ("a-mini:acme::id", "a-mini"), ("a-mini-2024-07-18:acme::id", "a-mini"), ("aa", None), ("a-", None), ("a-maxi", None), ("a-2024", "a"),
    ("a-20245", None), ("a-2024-08-06-preview", None), ("A", None), ("", None), ("b/a", None), ("a\n", None),
])  # fmt: skip
def test_a_snapshot_costs_what_its_model_does_and_is_counted_as_it_and_nothing_else_is_taken_for_it(tmp_path, model, entry):
    table = prices(tmp_path, TABLE)
    assert table.of(model) == (entry and table.models[entry]) and table.knows(model) == (entry is not None)
    assert Catalog([("alias", name) for name in table.models]).model(model) == (entry or OTHER)


def test_cached_tokens_are_a_part_of_the_input_and_sums_are_exact(tmp_path):
    table = prices(tmp_path, TABLE)
    assert table.cost("a", input_tokens=1_000_000, output_tokens=100, cached_tokens=400_000) == (1_500_000 + 500_000 + 1000) * 1000
    assert table.cost("a-mini", input_tokens=100, cached_tokens=50) == 15_000  # no price for cached ones: they cost as the others
    assert table.cost("a-mini", input_tokens=1) == 150 and table.cost("vectors", input_tokens=3) == 60
    assert table.cost("a", input_tokens=5, cached_tokens=9, output_tokens=0) == 6250  # more cached than there are: nonsense does no harm
    assert table.cost("sound", seconds=12) == 1_200_000 and table.cost("sound", seconds=0.5) == 50_000
    assert table.cost("free", input_tokens=10, output_tokens=10) == 0


def test_what_has_no_price_or_no_count_has_no_cost(tmp_path):
    table = prices(tmp_path, TABLE)
    assert table.cost("b", input_tokens=1) is None and table.cost("a") is None
    assert table.cost("vectors", input_tokens=1, output_tokens=1) is None and table.cost("sound", input_tokens=1) is None
    assert table.cost("a", seconds=1) is None


BAD = {
    "no TOML": ("x\n", "line 1"), "no TOML at its end": ("x", "end"), "no UTF-8": (b"\xff", "UTF-8"), "no currency": ("[models]\n", "currency"),
    "a currency that is none": ('currency = "dollars"\n[models]\n', "currency"), "no models": ('currency = "USD"\n', "[models]"),
    **{f"an entry {entry}": (f'currency = "USD"\n[models]\n"gpt-x" = {entry}\n', "gpt-x") for entry in (
        "3", "{}", "{ input = -1 }", '{ input = "1" }', "{ output = true }", "{ inputs = 1 }", "{ input = nan }", "{ input = inf }", "{ minute = 10001 }",
    )},
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_a_sentence_that_names_the_entry(tmp_path, case):
    text, named = BAD[case]
    with pytest.raises(SettingError) as caught:
        prices(tmp_path, text)
    sentence = one_sentence(str(caught.value))
    assert sentence.startswith("PRICES ") and named in sentence


def test_a_bad_file_stops_the_start(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('currency = "USD"\n[models]\n"gpt-x" = { in = 1 }\n')
    for bad in (path, tmp_path / "nowhere.toml"):
        assert "PRICES" in refused(tmp_path, PRICES=str(bad)) and str(bad) in refused(tmp_path, PRICES=str(bad))


def test_the_packages_own_table_has_the_models_of_the_default_aliases():
    table = Prices.load()
    assert table.currency == "USD" and table.knows("gpt-4o-mini-2024-07-18") and table.knows("gpt-4o")
    assert table.of("gpt-4o-mini-2024-07-18") != table.of("gpt-4o") and not table.knows("gpt-4oo")
