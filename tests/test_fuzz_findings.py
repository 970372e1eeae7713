"""What the fuzz has found, each as a plain test."""
import pytest
import requests

from tests.server import error_of


@pytest.mark.parametrize("fields", [("user_ids", "usernames"), ("user_ids", "user_id"), ("usernames", "user_id")])
def test_a_member_who_names_himself_in_two_ways_may_still_leave(alice, newcomer, fields):
    team = alice.ask("/team/create", name="ours", user_ids=newcomer.id).json()["id"]
    said = {"user_ids": newcomer.id, "user_id": newcomer.id, "usernames": newcomer.name}
    left = newcomer.ask("/team/members/remove", team_id=team, **{field: said[field] for field in fields})
    assert left.status_code == 200, left.text
    assert newcomer.get("/team/index").json() == {"teams": []}


@pytest.mark.parametrize("path", ["/v1/a%0Ab", "/v1/%0A", "/v1/%0D%0A/x?y=1"])
def test_a_line_break_below_v1_is_refused_there_and_strangers_are_asked_for_a_token(dora, path, upstream):
    error_of(requests.get(dora.server.url + path, timeout=10), 401)
    assert "path" in error_of(dora.get(path), 400)["message"]
    assert upstream.questions == []


def test_a_part_without_a_name_is_no_field(dora):
    parts = b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nours\r\n--b--\r\n'
    answer = dora.post("/team/create", data=parts, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["name"]) == (200, "ours")
