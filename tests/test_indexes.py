"""Every query behind a request that comes often finds its rows by an index, on both databases, however long the tables are."""
import logging

import pytest

from proxy_gpt import db
from proxy_gpt.chat import context
from proxy_gpt.config import check_database
from proxy_gpt.ids import new_id
from proxy_gpt.models import Chat, ChatUser, Message, Status, Team, TeamMember, User, proxy
from proxy_gpt.rules import chats, limits, messages, sessions
from proxy_gpt.rules.sessions import digest


@pytest.fixture
def people(database):
    """An owner, a user who was added, and a member of the team, on an open database."""
    opened = db.open_database(check_database(database, "the test's database"))
    db.bind(opened)
    with opened.connection_context():
        yield [User.create(username=name, username_key=name, password_hash="") for name in ("owner", "added", "member")]
    opened.close_all()


@pytest.fixture
def chat(people):
    """A chat of all three."""
    team = Team.create(name="team", owner=people[0].id)
    TeamMember.create(team=team.id, user=people[2].id)
    chat = Chat.create(user=people[0].id, team=team.id)
    ChatUser.create(chat=chat.id, user=people[1].id)
    return chat


def limits_of_a_caller(people, chat):
    limits.that_hold(people[0].id, [chat.team_id])


def session(people, chat):
    sessions.find(digest("token"))
    sessions.find_with_teams(digest("token"))


def who_takes_part(people, chat):
    for user in people:
        chats.seen_by(user.id, chat.id)
    chats.participants(chat)


def list_of_chats(people, chat):
    for user in people:
        chats.index(user.id, 10)
        chats.index(user.id, 10, chat.id)


def prompt(people, chat):
    message = messages.begin(new_id(), chat, people[0].id, "why?", "gpt-4")
    messages.history(chat.id, 10)
    context.as_chat_messages(chat, context.Context(0, "", [(user.id, "a", "b") for user in people]), 10, people[0].id, "why?")
    messages.keep_piece(message)
    message.status = Status.COMPLETE
    messages.finish(message)


def reading(people, chat):
    messages.page(chat.id, 10)
    messages.page(chat.id, 10, "m")
    messages.since(chat.id, 0)


@pytest.mark.parametrize("what", [session, limits_of_a_caller, who_takes_part, list_of_chats, prompt, reading])
def test_a_query_that_comes_often_uses_an_index(people, chat, caplog, what):
    with caplog.at_level(logging.DEBUG, "peewee"):
        what(people, chat)
    asked = [record.msg for record in caplog.records if record.msg[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    assert asked
    for sql, values in asked:
        assert not scans(sql, values), sql


def scans(sql, values):
    """The steps of the query's plan that read a whole table."""
    if isinstance(proxy.obj, db.peewee.SqliteDatabase):
        steps = [step for *_, step in proxy.execute_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
        return [step for step in steps if step.startswith("SCAN ") and step != "SCAN CONSTANT ROW"]
    proxy.execute_sql("SET enable_seqscan = off")  # a small table is read whole even where there is an index
    return [step for (step,) in proxy.execute_sql(f"EXPLAIN {sql}", values).fetchall() if "Seq Scan" in step]


def test_a_missing_index_would_be_seen(people):
    assert scans(*Message.select().where(Message.reply == "x").sql())
