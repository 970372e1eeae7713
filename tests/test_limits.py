"""Limits as people meet them: what is refused, in which words and headers, on each database, with Redis and over two processes."""
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.admin import Admin
from tests.fake_openai import answers
from tests.limited import SOON, ask, body, known_anew, limit, soon_refused
from tests.server import error_of, eventually

USED = 24 + 68  # tokens that the fake upstream reports of a chat completion
BILLION = 10**9
numbers = itertools.count(1)


@pytest.fixture
def somebody(sqlite_proxy):
    """Somebody new, for what is the same whatever keeps the counts."""
    return sqlite_proxy.person(f"somebody {next(numbers)}")


@pytest.fixture
def team(newcomer):
    """A team of the newcomer's, gone after the test: its members would stay under its limits."""
    identity = newcomer.ask("/team/create", name="spenders").json()["id"]
    yield identity
    newcomer.ask("/team/delete", id=identity)


def refusal(answer):
    """The sentence of a refusal by a limit."""
    return error_of(answer, 429)["message"]


def answered(proxy, answer):
    """The answer is good; wait until it is settled, which its event's being there says."""
    assert answer.status_code == 200, answer.text
    return proxy.event(answer)


def test_requests_a_minute(proxy, upstream, newcomer):
    limit(proxy, newcomer, requests_per_minute=2)
    minute = time.time() // 60
    for _ in range(2):
        answer = newcomer.get("/v1/models")
        assert answer.status_code == 200 and answer.headers["x-ratelimit-remaining-requests"] == "99", "the upstream's own figures pass"
    answer = newcomer.get("/v1/models")
    if time.time() // 60 != minute:
        pytest.skip("a minute has just begun")
    error = error_of(answer, 429)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert error["message"].startswith("Your limit is 2 requests a minute; 2 requests used. Try again in ")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60 and "x-should-retry" not in answer.headers
    assert [answer.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining")] == ["2", "0"]
    assert answer.headers["x-ratelimit-reset-requests"] == f"{answer.headers['Retry-After']}s"
    event = proxy.event(answer)
    assert (event["outcome"], event["status"], event["usage"], event["message"]) == ("refused", 429, "", error["message"])
    assert len(upstream.questions) == 2


def test_tokens_a_day_are_settled_by_what_was_used(proxy, upstream, newcomer):
    limit(proxy, newcomer, tokens_per_day=300)
    answered(proxy, ask(newcomer, 100))
    answer = ask(newcomer, 150)
    error = error_of(answer, 429)
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert error["message"].startswith(f"Your limit is 300 tokens a day; {USED} tokens used, and this call may need 250 tokens. It begins anew at 2")
    assert answer.headers["x-should-retry"] == "false" and 0 < int(answer.headers["Retry-After"]) <= 86400
    assert (answer.headers["x-ratelimit-limit-tokens"], answer.headers["x-ratelimit-remaining-tokens"]) == ("300", str(300 - USED))
    assert len(upstream.questions) == 1
    answered(proxy, ask(newcomer, 300 - USED - 100))  # all of it can be used


def test_a_request_that_is_larger_than_the_limit_is_not_tried_again(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_minute=199)
    answer = ask(somebody, 100)
    assert "more than the whole of it" in refusal(answer)
    assert answer.headers["x-should-retry"] == "false" and "Retry-After" not in answer.headers and upstream.questions == []


@pytest.mark.parametrize(("most", "said"), [
    ({"requests_per_minute": 0}, "Your limit is 0 requests a minute; 0 requests used. "),
    ({"tokens_per_day": 0}, "Your limit is 0 tokens a day; 0 tokens used, and this call may need 200 tokens. "),
])  # fmt: skip
def test_a_limit_of_nothing_says_that_neither_waiting_nor_asking_for_less_helps(sqlite_proxy, upstream, somebody, most, said):
    limit(sqlite_proxy, somebody, **most)
    answer = ask(somebody, 100)
    assert refusal(answer) == said + "It allows nothing: ask the operator for more."
    assert answer.headers["x-should-retry"] == "false" and "Retry-After" not in answer.headers and upstream.questions == []


def test_without_a_most_the_setting_is_reserved_for_each_choice(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_day=100 + 3 * 4096 - 1)
    assert "may need 12388 tokens" in refusal(somebody.post("/v1/chat/completions", data=body(n=3)))
    answered(sqlite_proxy, ask(somebody))


def test_a_most_without_measure_is_more_than_any_limit_allows(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_day=1000)
    asked = body(999_999_999_999, n=999, model="gpt-4-32k")
    assert "more than the whole of it" in refusal(somebody.post("/v1/chat/completions", data=asked))


def test_what_calls_under_way_hold_may_be_free_in_a_second(proxy, upstream, newcomer):
    limit(proxy, newcomer, tokens_per_day=500)
    go_on = threading.Event()
    upstream.script(go_on, answers.jsonly({"usage": answers.CHAT_USAGE}))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ask, newcomer, 200)
        upstream.question()
        answer = ask(newcomer, 200)
        go_on.set()
    said = "0 tokens used, 300 tokens held for calls under way, and this call may need 300 tokens. Try again in 1 second."
    assert refusal(answer).endswith(said)
    assert answer.headers["Retry-After"] == "1" and "x-should-retry" not in answer.headers
    answered(proxy, under_way.result())
    answered(proxy, ask(newcomer, 200))


def test_money_a_month(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, money_per_month=BILLION // 1000)
    cost = answered(sqlite_proxy, ask(somebody, 1000))["cost"]  # gpt-4o-mini: 0.15 and 0.60 a million
    error = error_of(ask(somebody, 2000), 429)
    used = f"{cost / BILLION:.9f}".rstrip("0")
    assert error["message"].startswith(f"Your limit is 0.001 USD a month; {used} USD used, and this call may need 0.001215 USD.")
    assert cost > 0 and error["code"] == "insufficient_quota"


def test_a_model_without_a_price_is_refused_to_who_has_a_budget_in_money(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, money_per_day=BILLION)
    for spelling in ("home-made", "home\\u002dmade"):
        error = error_of(somebody.post("/v1/chat/completions", data=f'{{"model": "{spelling}", "messages": []}}'), 403)
        assert "'home-made'" in error["message"] and "PRICES" in error["message"] and error["param"] == "model"
    assert upstream.questions == [] and somebody.get("/v1/models").status_code == 200


@pytest.mark.parametrize("text", [
    '{"metadata": {"model": "gpt-5-nano"}, "model": "MODEL", "max_tokens": 10}', '{"model": "MODEL", "metadata": {"model": "gpt-5-nano"}}',
    '{"model": "gpt-5-nano", "messages": [{"content": "\\"}]}"}], "model": "MODEL"}', '{"model": "gpt-5-nano", "mod\\u0065l": "MODEL"}',
])  # fmt: skip
def test_the_model_is_what_the_body_itself_names_not_what_is_in_it(sqlite_proxy, upstream, somebody, text):
    limit(sqlite_proxy, somebody, money_per_day=BILLION)
    answer = somebody.post("/v1/chat/completions", data=text.replace("MODEL", "zz-ultra"))
    assert "'zz-ultra'" in error_of(answer, 403)["message"] and upstream.questions == []
    answered(sqlite_proxy, somebody.post("/v1/chat/completions", data=text.replace("MODEL", "gpt-4o-mini").replace("gpt-5-nano", "run-17")))


def test_a_model_that_cannot_be_told_is_taken_to_be_the_dearest(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, money_per_day=BILLION)
    late = '{"metadata": {"model": "gpt-5-nano"}, "user": "' + "x" * 400_000 + '", "model": "gpt-5-nano"}'
    assert "may need" in refusal(somebody.post("/v1/chat/completions", data=late))


def test_a_team_is_limited_whoever_of_it_calls(proxy, upstream, newcomer, team, bob):
    newcomer.ask("/team/members/add", team_id=team, user_ids=bob.id)
    limit(proxy, f"team:{team}", tokens_per_day=300)
    header = {"x-proxy-team": team}
    answered(proxy, ask(newcomer, 100, headers=header))
    assert refusal(ask(bob, 200, headers=header)).startswith("The team 'spenders': its limit is 300 tokens a day; ")
    assert bob.get("/v1/models").status_code == 200


def test_both_the_users_and_the_teams_limits_hold(proxy, upstream, newcomer, team):
    limit(proxy, newcomer, requests_per_minute=1)
    limit(proxy, f"team:{team}", tokens_per_day=250)
    assert "'spenders'" in refusal(ask(known_anew(newcomer), 200))
    answered(proxy, ask(newcomer, 100))  # what was refused did not count as a request
    assert refusal(ask(newcomer, 50)).startswith("Your limit")


def test_a_default_holds_for_who_has_no_limit_of_its_own_and_for_every_team(start, upstream):
    server = start()
    alice, bob, charlie = (server.person(name) for name in ("Alice", "Bob", "Charlie"))
    charlie.ask("/team/create", name="anybody can make one")
    limit(server, "every-user", tokens_per_minute=1000, tokens_per_day=4000)
    limit(server, "every-team", tokens_per_month=2000)
    for person in (alice, charlie):
        limit(server, person, tokens_per_minute=5000)
    assert "1000 tokens a minute" in refusal(ask(bob, 1000))
    answered(server, ask(alice, 1000))
    assert "Your limit is 4000 tokens a day" in refusal(ask(alice, 4000))  # each limit for itself
    assert "'anybody can make one'" in refusal(ask(known_anew(charlie), 2000))


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_prompt_comes_under_the_limits_of_the_asker_and_of_the_chats_team(proxy, upstream, newcomer, team, charlie, stream):
    chat = newcomer.ask("/chat/create", team_id=team, model="gpt-4o-mini").json()["id"]
    newcomer.ask("/chat/user/add", chat_id=chat, user_id=charlie.id)  # who is not in the team
    limit(proxy, f"team:{team}", tokens_per_day=300)
    for person in (newcomer, charlie):
        answer, said = soon_refused(lambda person=person: person.ask("/chat/prompt", id=chat, prompt="one", stream=stream))
        assert "'spenders'" in said and proxy.event(answer)["outcome"] == "refused"
    limit(proxy, f"team:{team}", tokens_per_day=None)
    limit(proxy, newcomer, requests_per_minute=0)
    eventually(lambda: refusal(newcomer.ask("/chat/prompt", id=chat, prompt="two", stream=stream)).startswith("Your limit"), within=SOON)
    asked = len(upstream.questions)
    assert newcomer.ask("/chat/prompt", id=chat, prompt="not sent", otr="true").status_code == 200
    assert len(upstream.questions) == asked


def test_a_streamed_prompt_is_settled_too(proxy, upstream, newcomer):
    limit(proxy, newcomer, tokens_per_day=6000)
    chat = newcomer.ask("/chat/create", model="gpt-4o-mini").json()["id"]
    answered(proxy, newcomer.ask("/chat/prompt", id=chat, prompt="one", stream="true"))
    assert f"; {USED} tokens used, and" in refusal(ask(newcomer, 6000))


def test_a_changed_limit_is_felt_within_a_second(proxy, upstream, newcomer):
    assert newcomer.get("/v1/models").status_code == newcomer.get("/v1/models").status_code == 200
    for most, status in ((0, 429), (None, 200)):
        limit(proxy, newcomer, requests_per_minute=most)
        eventually(lambda status=status: newcomer.get("/v1/models").status_code == newcomer.get("/v1/models").status_code == status, within=SOON)


def test_a_limit_counts_what_was_used_before_it_was_set(proxy, upstream, newcomer):
    answered(proxy, ask(newcomer, 100))
    limit(proxy, newcomer, tokens_per_month=250)
    assert f"; {USED} tokens used, " in refusal(ask(known_anew(newcomer), 100))


def test_what_was_used_without_a_limit_on_use_counts_too(proxy, upstream, newcomer):
    limit(proxy, newcomer, requests_per_minute=1000)
    for _ in range(2):
        upstream.script(answers.jsonly({"model": "claude", "usage": {"input_tokens": 1000, "output_tokens": 500}}))
        answered(proxy, newcomer.post("/v1/messages", json={"model": "claude", "max_tokens": 500}))
    limit(proxy, newcomer, tokens_per_day=2000)
    assert refusal(ask(known_anew(newcomer), 100)).startswith("Your limit is 2000 tokens a day; 3000 tokens used, ")


def test_a_limit_that_is_set_again_counts_what_was_used_meanwhile(proxy, upstream, newcomer, tmp_path):
    for most in (1000, None):
        limit(proxy, newcomer, tokens_per_month=most)
        answered(proxy, ask(known_anew(newcomer), 100))
    settings = {name: value for name, value in proxy.environment.items() if name == "REDIS_ADDRESS"}
    Admin(tmp_path).ok("limit", "user", newcomer.id, "--tokens-per-month", "350", DB_ADDRESS=proxy.database, **settings)
    assert f"; {2 * USED} tokens used, " in refusal(ask(known_anew(newcomer), 100))


def test_a_call_that_the_upstream_refuses_uses_nothing(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_day=1000)
    upstream.script(answers.error("400 Bad Request", "Unknown model.", "model_not_found"))
    answer = ask(somebody, 900)
    assert answer.status_code == 400 and sqlite_proxy.event(answer)
    answered(sqlite_proxy, ask(somebody, 900))


def test_a_body_in_chunks_and_a_large_one_are_looked_at_before_they_are_sent(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_day=60_000)
    large = body()[:-2] + "x" * 800_000 + '"}'
    assert "may need 204196 tokens" in refusal(somebody.post("/v1/chat/completions", data=large))
    assert "may need" in refusal(somebody.post("/v1/chat/completions", data=iter([large[:1000].encode(), large[1000:].encode()])))
    assert upstream.questions == []
    sent = body(100).encode()
    answered(sqlite_proxy, somebody.post("/v1/chat/completions", data=iter([sent[:50], sent[50:]])))
    assert (upstream.question().body, upstream.question().framed_by) == (sent, "chunks")


def test_pictures_and_files_are_no_text(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_day=5000, requests_per_minute=1000)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 900_000}}
    asked = {"model": "gpt-4o-mini", "max_tokens": 100, "messages": [{"role": "user", "content": [picture]}]}
    answered(sqlite_proxy, somebody.post("/v1/chat/completions", json=asked))
    assert somebody.post("/v1/files", files={"file": b"x" * 1_000_000}).status_code == 200
    assert upstream.question(1).size > 1_000_000


def test_openais_client_raises_and_does_not_try_again_in_vain(sqlite_proxy, upstream, somebody):
    limit(sqlite_proxy, somebody, tokens_per_day=10)
    with openai.OpenAI(api_key=somebody.token, base_url=f"{sqlite_proxy.url}/v1", max_retries=5, timeout=10) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])
    assert refused.value.code == "insufficient_quota" and upstream.questions == []
    sqlite_proxy.event(refused.value.response.headers["x-proxy-request-id"])
    assert len(sqlite_proxy.events(user_id=somebody.id, endpoint="/v1/chat/completions")) == 1


def test_a_team_that_is_deleted_takes_its_limits_along(proxy, newcomer, team):
    limit(proxy, f"team:{team}", tokens_per_day=300)
    newcomer.ask("/team/delete", id=team)
    assert proxy.rows("SELECT * FROM limits WHERE subject = ?", f"team:{team}") == []


def test_usage_shows_ones_own_limits_and_a_teams(proxy, upstream, newcomer, team):
    limit(proxy, newcomer, tokens_per_day=1000, money_per_month=12_500_000_000)
    limit(proxy, f"team:{team}", tokens_per_minute=5000)
    answered(proxy, ask(known_anew(newcomer), 100))
    own, teams = (newcomer.get("/usage", params=params).json()["limits"] for params in ({}, {"team_id": team}))
    assert own[0] == {"limit": "tokens_per_day", "most": 1000, "used": USED, "held": 0} and own[1]["most"] == "12.50"
    assert [(row["limit"], row["most"]) for row in teams] == [("tokens_per_minute", 5000)]
