"""People with limits, and an upstream that uses what it is told to."""
import json
import threading

from tests.fake_openai import FakeOpenAI, whole
from tests.server import error_of, eventually, execute_on_database

SOON = 1.3  # seconds: one, and what this machine takes to tell


class MeteredOpenAI(FakeOpenAI):
    """Uses a token in for four bytes of a body, and out as many as the body allows, and `more`; waits for `go_on` before it answers."""

    def __init__(self):
        super().__init__()
        self.more = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def hear(self, question):
        """The steps of the answer."""
        super().hear(question)
        used = {"prompt_tokens": -(-question.size // 4), "completion_tokens": json.loads(question.body)["max_tokens"] + self.more}
        return self.go_on, whole(json.dumps({"model": "gpt-4o-mini", "choices": [], "usage": used}).encode())


def limit(server, whose, **most):
    """What `proxy-admin limit` does, which has tests of its own, without a process for it. `whose` is a person or a subject."""
    for name, value in most.items():
        subject = whose if isinstance(whose, str) else f"user:{whose.id}"
        execute_on_database(server.database, "DELETE FROM limits WHERE subject = ? AND name = ?", subject, name)
        if value is not None:
            execute_on_database(server.database, "INSERT INTO limits (subject, name, most) VALUES (?, ?, ?)", subject, name, value)


def body(most=None, **more):
    """A chat completion as JSON of 400 bytes, which is a hundred tokens, that allows so many tokens out."""
    asked = {"model": "gpt-4o-mini", "messages": [], **({} if most is None else {"max_tokens": most}), **more}
    asked["user"] = "x" * (400 - len(json.dumps({**asked, "user": ""})))
    return json.dumps(asked)


def ask(person, most=None, **more):
    """Send it."""
    return person.post("/v1/chat/completions", data=body(most), **more)


def known_anew(person):
    """The person with a new token: what any process remembers of the old one, such as teams and limits, does not matter."""
    person.token = person.ask("/user/login", username=person.name, password=person.password).json()["token"]
    person.headers["Authorization"] = f"Bearer {person.token}"
    return person


def soon_refused(call):
    """(answer, message of its error) of a call, once it is refused: a limit that was just set is felt within a second."""
    answers = []

    def is_refused():
        answers.append(call())
        return answers[-1].status_code == 429

    eventually(is_refused, within=SOON)
    return answers[-1], error_of(answers[-1], 429)["message"]
