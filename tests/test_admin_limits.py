"""`proxy-admin limit` and `limits`: every option on both databases, and what `user` shows of them."""
import json

import click
import pytest

from admin_cli.limits import Most
from proxy_gpt.ids import new_id
from proxy_gpt.rules import limits
from tests.admin import Admin
from tests.canary import PASSWORD
from tests.limited import ask, known_anew, limit
from tests.server import execute_on_database

OPTIONS = {
    "requests_per_minute": ("60", 60), "tokens_per_minute": ("100000", 100_000), "tokens_per_day": ("1000000", 10**6),
    "tokens_per_month": ("0", 0), "money_per_day": ("2", 2 * 10**9), "money_per_month": ("12.500000001", 12_500_000_001),
}  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request, tmp_path_factory, new_database):
    """The command on a database with one user, Alice, and a team of hers."""
    admin = Admin(tmp_path_factory.mktemp("admin"), new_database(request.param))
    admin.ok("create", "alice", "--password-stdin", stdin=PASSWORD)
    return admin


@pytest.fixture
def alice(admin):
    """Her id."""
    return admin.rows("SELECT id FROM users")[0]["id"]


@pytest.fixture
def team(admin, alice):
    """The id of a team of hers."""
    identity = new_id()
    execute_on_database(admin.database, "INSERT INTO teams (id, created_at, name, description, owner_id, updated_at) VALUES "
                        "(?, '2026-01-01T00:00:00.000000Z', 'ours', '', ?, '2026-01-01T00:00:00.000000Z')", identity, alice)  # fmt: skip
    return identity


def listed(admin):
    """What `limits` lists, by whose it is."""
    return {row.pop("of"): row for row in json.loads(admin.ok("limits", "--json"))}


def options(**values):
    """Words of the command line."""
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", value)]


def test_every_option_is_kept_listed_and_shown_and_taken_away(admin, alice):
    said = admin.ok("limit", "user", "ALICE", *options(**{name: given for name, (given, _) in OPTIONS.items()}))
    assert "'alice'" in said and "money_per_month 12.500000001" in said
    stored = {row["name"]: row["most"] for row in admin.rows("SELECT name, most FROM limits")}
    assert stored == {name: most for name, (_, most) in OPTIONS.items()}
    row = listed(admin)[f"user:{alice}"]
    assert row == {"name": "alice", **{name: most for name, (_, most) in OPTIONS.items()}, "money_per_day": "2.00", "money_per_month": "12.500000001"}
    assert "MONEY PER MONTH" in admin.ok("limits") and "12.500000001" in admin.ok("limits")
    shown = json.loads(admin.ok("user", "alice", "--json"))["limits"]
    assert shown[0] == {"limit": "requests_per_minute", "most": 60, "used": 0, "held": 0} and len(shown) == len(OPTIONS) == len(limits.NAMES)
    assert "0.00 used of 12.500000001" in admin.ok("user", "alice")
    admin.ok("limit", "user", alice, *options(**dict.fromkeys(OPTIONS, "none")))
    assert listed(admin) == {} and json.loads(admin.ok("user", "alice", "--json"))["limits"] == []


def test_defaults_hold_where_a_user_has_nothing_of_its_own(admin, alice, team):
    admin.ok("limit", "every-user", *options(tokens_per_day="10", money_per_day="1"))
    admin.ok("limit", "every-team", *options(tokens_per_month="30"))
    admin.ok("limit", "team", team, *options(tokens_per_month="unlimited"))
    admin.ok("limit", "user", "alice", *options(tokens_per_day="unlimited", money_per_day="0.5"))
    assert [(row["limit"], row["most"]) for row in json.loads(admin.ok("user", "alice", "--json"))["limits"]] == [("money_per_day", "0.50")]
    found = listed(admin)
    assert list(found) == ["every-team", "every-user", f"team:{team}", f"user:{alice}"]
    assert found[f"team:{team}"] == {"name": "ours", "tokens_per_month": "unlimited"}
    execute_on_database(admin.database, "DELETE FROM limits")


@pytest.mark.parametrize(("words", "named"), [
    (("user", "alice"), "at least one"), (("user", "--tokens-per-day", "1"), "by its id"), (("every-user", "alice", "--tokens-per-day", "1"), "alice"),
    (("user", "alice", "--tokens-per-day", "1.5"), "whole number"), (("somebody", "alice", "--tokens-per-day", "1"), "every-team"),
])  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, sqlite_proxy, words, named):
    assert named in Admin(tmp_path, sqlite_proxy.database).wrong("limit", *words)


@pytest.mark.parametrize(("of_money", "values"), [
    (False, ("1.5", "-1", "9" * 30, "9" * 5000, "0" * 20 + "9" * 30, "²", "٣", "1e3", "")), (True, ("x", "NaN", "-1", "Infinity", "1e99", "1e999999999", "0.0000000001", "1_000", "٣", " 1", "+1", "1e3", ".", "")),
])  # fmt: skip
def test_only_numbers_within_bounds_are_amounts(of_money, values):
    for value in values:
        with pytest.raises(click.BadParameter):
            Most(of_money).convert(value, None, None)


def test_who_is_not_there_is_named(tmp_path, sqlite_proxy):
    for whom in ("user", "team"):
        assert "'nobody at all'" in Admin(tmp_path, sqlite_proxy.database).refused("limit", whom, "nobody at all", "--tokens-per-day", "1")


def test_it_is_an_event_that_says_what_was_set(tmp_path, sqlite_proxy, dora):
    admin = Admin(tmp_path, sqlite_proxy.database)
    admin.ok("limit", "user", dora.name, "--money-per-day", "unlimited")
    event = [event for event in admin.events() if event["endpoint"] == "proxy-admin limit"][-1]
    assert (event["user_id"], event["message"]) == (dora.id, f"Limited the user '{dora.name}': money_per_day unlimited.")


def test_user_shows_what_the_server_has_counted(start, new_database, redis_address, tmp_path, proxy, upstream, newcomer):
    limit(proxy, newcomer, tokens_per_day=10_000, requests_per_minute=50)
    team = newcomer.ask("/team/create", name="ours").json()["id"]
    limit(proxy, f"team:{team}", tokens_per_month=20_000)
    assert proxy.event(ask(known_anew(newcomer), 100))
    settings = {name: value for name, value in proxy.environment.items() if name in ("DB_ADDRESS", "REDIS_ADDRESS")}
    settings["DB_ADDRESS"] = proxy.database
    shown = json.loads(Admin(tmp_path).ok("user", newcomer.id, "--json", **settings))
    assert shown["limits"][1] == {"limit": "tokens_per_day", "most": 10_000, "used": 92, "held": 0} and shown["limits"][0]["used"] <= 1
    assert shown["teams"][0]["limits"] == [{"limit": "tokens_per_month", "most": 20_000, "used": 92, "held": 0}]
    assert f"tokens per month of the team {team}  92 used of 20000\n" in Admin(tmp_path).ok("user", newcomer.id, **settings)
