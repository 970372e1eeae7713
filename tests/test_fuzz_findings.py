"""What the fuzz has found, each as a plain test."""
import pytest


@pytest.mark.parametrize("fields", [("user_ids", "usernames"), ("user_ids", "user_id"), ("usernames", "user_id")])
def test_a_member_who_names_himself_in_two_ways_may_still_leave(alice, newcomer, fields):
    team = alice.ask("/team/create", name="ours", user_ids=newcomer.id).json()["id"]
    said = {"user_ids": newcomer.id, "user_id": newcomer.id, "usernames": newcomer.name}
    left = newcomer.ask("/team/members/remove", team_id=team, **{field: said[field] for field in fields})
    assert left.status_code == 200, left.text
    assert newcomer.get("/team/index").json() == {"teams": []}
