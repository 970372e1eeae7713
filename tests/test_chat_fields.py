"""The fields of /chat/* and /team/*: every spelling of the right ones, and a sentence that names the wrong one."""
import json

import pytest

from tests.server import error_of

YES = ("true", "TRUE", "1", "yes", "on", " on ", True, 1)
NO = ("false", "False", "0", "no", "off", False, 0, None)
NO_TEXTS = (1, True, 1.5, ["x"], {}, "a\0b", "\ud800", "half \udc00")
NO_LINES = (*NO_TEXTS, "a\nb", "\u2028", "   ")
NO_NUMBERS = (0, -1, 1.5, 1001, 10**30, "", "x", "1.0", "٣", True, [1], {})
NO_FLAGS = ("", "maybe", 2, 1.5, "wahr", [True], {})
NO_LISTS = (1, True, {}, [1], [["x"]], [None], ["a\0b"], "a\0b", ["\ud800"])
ABSURD = ("", " ", "null", "0", "-1", "x" * 10_000, "🦄" * 100, "' OR 1=1; --", "%", "../../etc/passwd", "\n", "01a20df4-1b9a-7172-9569-c00675576e75")
WRONG = [
    ("/chat/create", {}, {"name": NO_LINES, "model": NO_LINES, "system": NO_TEXTS, "team_id": NO_TEXTS}),
    ("/chat/create", {}, {"name": ["n" * 255], "model": ["m" * 255], "system": ["s" * 32769]}),
    ("/chat/update", {"id": "{chat}"}, {"name": (*NO_LINES, "", "n" * 255), "model": (*NO_LINES, ""), "system": (*NO_TEXTS, "s" * 32769)}),
    ("/chat/read", {"id": "{chat}"}, {"limit": NO_NUMBERS, "before": NO_TEXTS}),
    ("/chat/index", {}, {"limit": NO_NUMBERS, "before": NO_TEXTS}),
    ("/chat/prompt", {"id": "{chat}", "prompt": "x", "otr": True}, {"prompt": NO_TEXTS, "context": NO_NUMBERS, "stream": NO_FLAGS, "otr": NO_FLAGS}),
    ("/chat/user/add", {"id": "{chat}"}, {"user_id": NO_TEXTS, "username": NO_TEXTS}),
    ("/chat/user/remove", {"id": "{chat}"}, {"user_id": NO_TEXTS, "username": NO_TEXTS}),
    ("/team/create", {"name": "new"}, {"name": (*NO_LINES, None, "", "n" * 31), "description": (*NO_TEXTS, "d" * 257)}),
    ("/team/create", {"name": "new"}, {"user_ids": NO_LISTS, "usernames": NO_LISTS, "user_id": NO_LISTS}),
    ("/team/update", {"id": "{team}"}, {"name": (*NO_LINES, "", "n" * 31), "description": (*NO_TEXTS, "d" * 257)}),
    ("/team/members/add", {"id": "{team}"}, {"user_ids": NO_LISTS, "usernames": NO_LISTS, "user_id": NO_LISTS}),
    ("/team/members/remove", {"id": "{team}"}, {"user_ids": NO_LISTS, "usernames": NO_LISTS, "user_id": NO_LISTS}),
]  # fmt: skip
READS = ("/chat/read", "/chat/index", "/team/read", "/team/index", "/team/members")
OF_A_CHAT = ("/chat/read", "/chat/update", "/chat/prompt", "/chat/stream", "/chat/user/add", "/chat/user/remove", "/chat/delete")
OF_A_TEAM = ("/team/read", "/team/update", "/team/members", "/team/members/add", "/team/members/remove", "/team/delete")
CHANGES = [path for path in (*OF_A_CHAT, *OF_A_TEAM, "/chat/create", "/team/create") if path not in (*READS, "/chat/stream")]


@pytest.fixture
def place(newcomer, bob):
    """The ids of a chat and a team of the newcomer's, both with Bob."""
    team = newcomer.ask("/team/create", name="team", user_ids=bob.id).json()["id"]
    chat = newcomer.ask("/chat/create", name="chat").json()["id"]
    newcomer.ask("/chat/user/add", chat_id=chat, user_id=bob.id)
    return {"chat": chat, "team": team}


def everything(person, place):
    return [person.post(path, json={"id": place[path.split("/")[1]]}).json() for path in READS]


def filled(fields, place):
    return {name: value.format(**place) if isinstance(value, str) else value for name, value in fields.items()}


def test_a_wrong_field_is_named_and_changes_nothing(newcomer, place):
    before = everything(newcomer, place)
    for path, right, wrong in WRONG:
        for field, values in wrong.items():
            for value in values:
                answer = newcomer.post(path, data=json.dumps({**filled(right, place), field: value}))
                case = f"{path} {field}={value!r:.40}: {answer.text}"
                assert answer.status_code == 400, case
                error = error_of(answer, 400)
                assert error["param"] == field and f"'{field}'" in error["message"], case
    assert everything(newcomer, place) == before


def test_what_is_not_utf8_is_refused_in_every_kind_of_body(newcomer, place):
    before = everything(newcomer, place)
    for kind, body in (
        ("application/x-www-form-urlencoded", b"id=%(id)s&name=a%%ff"), ("application/x-www-form-urlencoded", b"id=%(id)s&name=a\xff"),
        ("application/json", b'{"id": "%(id)s", "name": "a\xff"}'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\n%(id)s\r\n'
         b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\na\xff\r\n--b--\r\n'),
    ):  # fmt: skip
        for thing in ("chat", "team"):
            sent = body % {b"id": place[thing].encode()}
            assert "UTF-8" in error_of(newcomer.post(f"/{thing}/update", data=sent, headers={"Content-Type": kind}), 400)["message"]
    assert everything(newcomer, place) == before


def test_an_id_that_is_absurd_is_of_nothing_there(newcomer, place, bob):
    before = everything(newcomer, place)
    for paths, names in ((OF_A_CHAT, ("id", "chat_id")), (OF_A_TEAM, ("id", "team_id"))):
        for path in paths:
            for absurd in ABSURD:
                answer = newcomer.post(path, json={names[1]: absurd, "prompt": "x", "name": "x", "user_id": bob.id})
                assert error_of(answer, 404)["code"] == "not_found"
            for wrong in NO_TEXTS:
                answer = newcomer.post(path, data=json.dumps({names[0]: wrong, "prompt": "x", "user_id": bob.id}))
                assert error_of(answer, 400)["param"] == names[0]
            assert error_of(newcomer.post(path, json={"prompt": "x", "user_id": bob.id}), 400)["param"] == "id"
    for absurd in ABSURD[1:]:
        assert error_of(newcomer.post("/chat/create", json={"team_id": absurd}), 404)["param"] == "team_id"
        assert error_of(newcomer.post("/chat/index", json={"before": absurd}), 404)["param"] == "before"
        assert error_of(newcomer.post("/user/read", json={"id": absurd}), 404)
        assert newcomer.post("/chat/read", json={"id": place["chat"], "before": absurd}).status_code == 200
    assert everything(newcomer, place) == before


def test_id_means_the_same_as_chat_id_and_team_id(newcomer, place, bob, upstream):
    for paths, thing, name in ((OF_A_CHAT[:-1], "chat", "chat_id"), (OF_A_TEAM[:-1], "team", "team_id")):
        for path in paths:
            for field in ("id", name):
                values = {field: place[thing], "prompt": "hello", "user_id": bob.id, "name": "new", "color": "unknown"}
                with newcomer.post(path, json=values, stream=True) as answer:
                    assert answer.status_code == 200, f"{path} {field}: {answer.text}"


def test_reads_answer_get_and_post_alike_and_changes_post_alone(newcomer, place):
    for path in READS:
        identity = {"id": place[path.split("/")[1]]}
        answers = [newcomer.get(path, params=identity), newcomer.post(path, data=identity), newcomer.post(path, json=identity),
                   newcomer.post(path, params=identity), newcomer.post(path, files={"id": (None, identity["id"])})]  # fmt: skip
        assert [answer.status_code for answer in answers] == [200] * 5
        assert all(answer.json() == answers[0].json() for answer in answers)
        assert newcomer.head(path, params=identity).text == ""
    before = everything(newcomer, place)
    for method, paths, allowed in (("GET", CHANGES, {"POST"}), ("PUT", CHANGES, {"POST"}), ("DELETE", (*READS, "/chat/stream"), {"GET", "POST"})):
        for path in paths:
            answer = newcomer.request(method, path, params={"id": place[path.split("/")[1]], "name": "new"})
            assert error_of(answer, 405)["code"] == "method_not_allowed"
            assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed
    assert everything(newcomer, place) == before


def test_asking_for_the_head_of_a_stream_ends(newcomer, place):
    answer = newcomer.head("/chat/stream", params={"id": place["chat"]}, timeout=5)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")


@pytest.mark.parametrize("flag", ["otr", "stream"])
def test_a_switch_may_be_spelled_in_many_ways(newcomer, place, upstream, flag):
    for value in (*YES, *NO):
        ways = [{"json": {"id": place["chat"], "prompt": "hello", flag: value}}]
        if isinstance(value, str):
            ways += [{"data": ways[0]["json"]}, {"params": ways[0]["json"]}]
        for way in ways:
            upstream.forget()
            answer = newcomer.post("/chat/prompt", **way)
            assert answer.status_code == 200, f"{value!r}: {answer.text}"
            is_on = answer.json()["message"]["otr"] if flag == "otr" else answer.json()["message"]["status"] == "streaming"
            assert is_on == (value in YES), f"{way}: {answer.text}"


def test_a_body_is_read_whatever_its_kind(newcomer, place):
    fields = {"chat_id": place["chat"], "name": "año"}
    text = json.dumps(fields)
    for sent in (
        {"data": fields}, {"json": fields}, {"data": text}, {"data": f"\n {text}"}, {"params": fields},
        {"files": {name: (None, value) for name, value in fields.items()}},
        {"data": text, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": text, "headers": {"Content-Type": "text/plain"}},
        {"data": text, "headers": {"Content-Type": "application/json; charset=utf-8"}},
        {"data": {"name": "año"}, "params": {"chat_id": place["chat"], "name": "the body wins"}},
    ):  # fmt: skip
        newcomer.ask("/chat/update", id=place["chat"], name="before")
        assert newcomer.post("/chat/update", **sent).json()["chat"]["name"] == "año", sent
