"""The ledger's contract, kept by all three: in SQLite, in PostgreSQL and in Redis."""
import sqlite3
import threading

import pytest

from proxy_gpt import clock, db, redis_link
from proxy_gpt.config import check_database
from proxy_gpt.ids import new_id
from proxy_gpt.ledger import sql
from proxy_gpt.ledger.entries import DAY, MINUTE, MONTH, Amounts, Call, Cap, Exceeded, Settlement, end_of
from proxy_gpt.ledger.shared import SharedLedger
from proxy_gpt.ledger.sql import SqlLedger
from proxy_gpt.ledger.transactions import transactions
from tests.admin import Admin
from tests.server import execute_on_database

LONGEST = 60  # seconds that a call may take
NOW = clock.to_text(clock.now())
AT_ONCE = 12


class Database:
    """A ledger in the database, whose calls the shipper settles."""

    def __init__(self, database, longest_call=LONGEST):
        self.sql = SqlLedger(*transactions(check_database(database, "the test's database")), longest_call)
        self.reserve, self.amounts = self.sql.reserve, self.sql.amounts

    def settle(self, settlement):
        with self.sql.transaction() as execute:
            sql.settle(execute, [settlement])

    use_without_limit = settle

    def settle_expired(self):
        """What the server does now and then."""
        self.sql.settle_expired()

    def begin_anew(self, whose):
        """It need not: the shipper settles all calls, those of people without limits too."""


class Redis:
    """A ledger in Redis, which takes from the database what was used before."""

    def __init__(self, database, client, longest_call=LONGEST):
        self.database = Database(database)
        self.shared = SharedLedger(client, self.database.sql.used, longest_call)
        self.reserve, self.amounts, self.settle = self.shared.reserve, self.shared.amounts, self.shared.settle
        self.begin_anew = self.shared.begin_anew

    def use_without_limit(self, settlement):
        """It is not told of that."""

    def settle_expired(self):
        """Each reservation does so, whoever makes it."""
        self.reserve(call(Cap(f"user:{new_id()}", DAY, tokens=1), tokens=1))


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def make(request, new_database):
    """A function that makes a ledger as one more process would; `make.database` is the address of the database behind it."""
    address = new_database("sqlite" if request.param == "sqlite" else "postgres")
    opened = db.open_database(check_database(address, "the test's database"))
    db.bind(opened)

    def begin(**more):
        if request.param == "redis":
            return Redis(address, redis_link.connect(request.getfixturevalue("redis_address")), **more)
        return Database(address, **more)

    begin.database = address
    yield begin
    opened.close_all()


@pytest.fixture
def ledger(make):
    """The ledger of a process."""
    return make()


@pytest.fixture
def user():
    """Somebody new."""
    return f"user:{new_id()}"


def call(*caps, tokens=0, money=0):
    """A call under these caps."""
    return Call(new_id(), NOW, tuple(sorted(caps)), tokens, money)


def ended(reserved, tokens=0, money=0):
    """How it ended."""
    return Settlement(reserved.id, reserved.timestamp, tuple({cap.subject for cap in reserved.caps}), tokens, money)


def used_before(database, user, day, tokens, money):
    """What the roll-up has of a user and a day."""
    execute_on_database(
        database, "INSERT INTO usage_days (day, user_id, team_id, model, requests, input_tokens, cached_tokens, output_tokens, "
        "reasoning_tokens, seconds, cost, estimated, unknown, unpriced) VALUES (?, ?, '', 'm', 1, ?, 0, 1, 0, 0, ?, 0, 0, 0)",
        day, user.removeprefix("user:"), tokens - 1, money,
    )  # fmt: skip


def signs_last(*texts):
    """How en_US.UTF-8 compares two texts: by their letters and digits, and only then by what stands between them."""
    one, other = (("".join(filter(str.isalnum, text)), text) for text in texts)
    return (one > other) - (one < other)


def test_what_was_used_takes_the_place_of_what_was_held(ledger, user):
    first = call(Cap(user, DAY, tokens=100, money=50), tokens=60, money=30)
    ledger.reserve(first)
    assert ledger.amounts(first.periods()) == [Amounts(requests=1, held_tokens=60, held_money=30)]
    ledger.settle(ended(first, tokens=40, money=20))
    assert ledger.amounts(first.periods()) == [Amounts(requests=1, tokens=40, money=20)]


def test_a_cap_is_filled_to_the_last_of_it_and_no_further(ledger, user):
    cap = Cap(user, MONTH, tokens=100)
    first = call(cap, tokens=60)
    ledger.reserve(first)
    with pytest.raises(Exceeded) as refused:
        ledger.reserve(call(cap, tokens=41))
    assert refused.value.amounts == [Amounts(requests=1, held_tokens=60)]
    ledger.settle(ended(first, tokens=60))
    ledger.reserve(call(cap, tokens=40))
    with pytest.raises(Exceeded):
        ledger.reserve(call(cap, tokens=1))


@pytest.mark.parametrize("full", [{"requests": 1}, {"tokens": 5}, {"money": 5}])
def test_it_is_taken_from_all_periods_of_all_subjects_or_from_none(ledger, user, full):
    team = user.replace("user", "team")
    roomy = [Cap(user, MINUTE, requests=9, tokens=99), Cap(team, DAY, tokens=99, money=99)]
    ledger.reserve(call(*roomy, Cap(team, MONTH, **full), tokens=3, money=3))
    refused = call(*roomy, Cap(team, MONTH, **full), tokens=3, money=3)
    before = ledger.amounts(refused.periods())
    with pytest.raises(Exceeded):
        ledger.reserve(refused)
    assert ledger.amounts(refused.periods()) == before == [Amounts(1, 0, 0, 3, 3)] * 3


def test_a_call_that_holds_nothing_counts_as_a_request(ledger, user):
    cap = Cap(user, MINUTE, requests=2)
    for _ in range(2):
        ledger.reserve(call(cap))
    with pytest.raises(Exceeded):
        ledger.reserve(call(cap))


def test_what_nobody_knows_counts_as_it_was_reserved(ledger, user):
    unknown = call(Cap(user, DAY, tokens=100, money=50), tokens=60, money=30)
    ledger.reserve(unknown)
    ledger.settle(ended(unknown, tokens=None, money=None))
    assert ledger.amounts(unknown.periods()) == [Amounts(requests=1, tokens=60, money=30)]


def test_what_a_call_used_beyond_its_reservation_counts_too(ledger, user):
    cap = Cap(user, DAY, tokens=100)
    more = call(cap, tokens=10)
    ledger.reserve(more)
    ledger.settle(ended(more, tokens=130))
    with pytest.raises(Exceeded) as refused:
        ledger.reserve(call(cap))
    assert refused.value.amounts == [Amounts(requests=1, tokens=130)]


def test_a_hold_that_nobody_settles_in_time_counts_as_it_was_reserved(make, user):
    day = Cap(user, DAY, tokens=100, money=50)
    lost = call(day, Cap(user, MONTH, tokens=1000), tokens=100, money=30)
    make(longest_call=-3600).reserve(lost)
    with pytest.raises(Exceeded):
        make().reserve(call(day, tokens=1))
    make().settle_expired()
    assert make().amounts(lost.periods()) == 2 * [Amounts(requests=1, tokens=100, money=30)]
    with pytest.raises(Exceeded):
        make().reserve(call(day, tokens=1))


def test_a_call_that_outlives_its_hold_counts_twice_rather_than_not_at_all(make, user):
    late = call(Cap(user, DAY, tokens=100), tokens=50)
    make(longest_call=-3600).reserve(late)
    make().settle_expired()
    make().settle(ended(late, tokens=40))
    assert make().amounts(late.periods()) == [Amounts(requests=1, tokens=90)]


@pytest.mark.parametrize(("estimate", "counted"), [(0, 60), (59, 60), (61, 61), (1234567, 1234567)])
def test_an_estimate_counts_only_where_it_is_more_than_what_was_reserved(make, ledger, user, estimate, counted):
    guessed = call(Cap(user, DAY, tokens=100, money=100), tokens=60, money=60)
    ledger.reserve(guessed)
    ledger.settle(ended(guessed, tokens=estimate, money=estimate)._replace(exact=False))
    assert ledger.amounts(guessed.periods()) == [Amounts(requests=1, tokens=counted, money=counted)]


def test_an_estimate_without_a_price_counts_the_money_that_was_reserved(ledger, user):
    guessed = call(Cap(user, DAY, tokens=100, money=100), tokens=60, money=60)
    ledger.reserve(guessed)
    ledger.settle(ended(guessed, tokens=70, money=None)._replace(exact=False))
    assert ledger.amounts(guessed.periods()) == [Amounts(requests=1, tokens=70, money=60)]


def test_days_and_months_begin_with_what_was_used_before_and_minutes_with_nothing(make, ledger, user):
    used_before(make.database, user, NOW[:DAY], tokens=40, money=4)
    used_before(make.database, user, f"{NOW[:MONTH]}-{'02' if NOW[8:DAY] == '01' else '01'}", tokens=30, money=3)  # another day of this month
    used_before(make.database, user, "2024-02-29", tokens=1000, money=100)
    used_before(make.database, user, "2999-01-01", tokens=1000, money=100)
    first = call(*(Cap(user, length, tokens=100) for length in (MINUTE, DAY, MONTH)), tokens=30)
    ledger.reserve(first)
    assert ledger.amounts(first.periods()) == [Amounts(1, used, money, 30) for used, money in ((70, 7), (40, 4), (0, 0))]
    with pytest.raises(Exceeded):
        ledger.reserve(call(*first.caps, tokens=1))


def test_a_month_is_summed_up_in_a_database_that_puts_signs_behind_letters_and_digits():
    opened = sqlite3.connect(":memory:")  # in the place of a PostgreSQL with en_US.UTF-8, which not every machine has
    opened.create_collation("en_US", signs_last)
    opened.execute("CREATE TABLE usage_days (user_id, day TEXT COLLATE en_US, input_tokens, output_tokens, cost)")
    for day, tokens in (("2026-10-31", 1000), ("2026-11-01", 1), ("2026-11-24", 10), ("2026-11-30", 100), ("2026-12-01", 1000)):
        opened.execute("INSERT INTO usage_days VALUES ('alice', ?, ?, 0, 1)", (day, tokens))
    assert sql.used(opened.execute, "user:alice", "2026-11") == (111, 3)
    assert sql.used(opened.execute, "user:alice", "2026-11-24") == (10, 1)


def test_a_call_that_nothing_was_reserved_for_counts_in_periods_that_have_begun(make, user):
    cap = Cap(user, DAY, tokens=100)
    make().reserve(call(cap, tokens=50))
    other = call(cap)
    make().settle(ended(other, tokens=30))
    assert make().amounts(other.periods()) == [Amounts(requests=1, tokens=30, held_tokens=50)]


@pytest.mark.parametrize("whose", ["the user", "every-user"])
def test_what_was_used_while_there_was_no_limit_counts_when_there_is_one_again(make, user, whose):
    caps = [Cap(user, length, requests=9, tokens=100) for length in (MINUTE, DAY)]
    over, under_way = call(*caps, tokens=9), call(*caps, tokens=20)
    for one in (over, under_way):
        make().reserve(one)
    make().settle(ended(over, tokens=5))
    make().use_without_limit(ended(call(*caps), tokens=30))
    used_before(make.database, user, NOW[:DAY], tokens=35, money=0)
    make().begin_anew(whose.replace("the user", user))
    make().reserve(call(*caps, tokens=45))
    assert make().amounts(under_way.periods())[0] == Amounts(requests=3, tokens=35, held_tokens=65)
    make().settle(ended(under_way, tokens=20))
    assert make().amounts(under_way.periods())[0] == Amounts(requests=3, tokens=55, held_tokens=45)


def test_processes_that_reserve_at_once_share_out_exactly_what_there_is(make, user):
    team = user.replace("user", "team")
    taken, refused = [], []

    def reserve(number):
        own = call(Cap(f"{user}{number % 3}", MINUTE, requests=1000), Cap(team, DAY, tokens=1000), Cap(team, MONTH, money=330), tokens=30, money=10)
        ledger = make()
        for _ in range(8):
            try:
                ledger.reserve(Call(new_id(), NOW, own.caps, own.tokens, own.money))
                taken.append(number)
            except Exceeded:
                refused.append(number)

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(taken), len(refused)) == (33, AT_ONCE * 8 - 33)
    assert make().amounts([(team, NOW[:DAY]), (team, NOW[:MONTH])]) == [Amounts(33, 0, 0, 990, 330)] * 2


@pytest.mark.parametrize(("period", "end"), [
    ("2024-12-31T23:59", "2025-01-01T00:00"), ("2024-02-28", "2024-02-29T00:00"), ("2024-12", "2025-01-01T00:00"), ("2024-02", "2024-03-01T00:00"),
])  # fmt: skip
def test_a_period_ends_where_the_next_one_begins(period, end):
    assert clock.to_text(end_of(period)).startswith(end)


def test_a_ledger_on_sqlite_is_made_and_waits_while_somebody_else_writes(new_database, tmp_path, user):
    address = new_database("sqlite")
    Admin(tmp_path, address).ok("migrate")
    writer = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    writer.execute("PRAGMA locking_mode = exclusive")
    writer.execute("BEGIN IMMEDIATE")
    first = call(Cap(user, DAY, tokens=100), tokens=60)
    ledger = Database(address)
    threading.Timer(0.1, lambda: (writer.execute("COMMIT"), writer.close())).start()
    ledger.reserve(first)
    assert ledger.amounts(first.periods()) == [Amounts(requests=1, held_tokens=60)]
