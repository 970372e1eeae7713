"""How the server starts, in its own process: by each of its three ways, and what stops it with one sentence."""
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from tests import canary
from tests.canary import KEY
from tests.locks import locked
from tests.server import BIN, Server, eventually, execute_on_database, free_port
from tests.test_settings import one_sentence
from tests.tls_front import TlsFront

CHECKOUT = Path(__file__).parent.parent
PROCFILE = dict(line.split(": ", 1) for line in (CHECKOUT / "Procfile").read_text().splitlines())
WAYS = {
    "proxy-gpt": [BIN / "proxy-gpt"],
    "bare gunicorn": [BIN / "gunicorn"],
    "the Procfile's line": ["sh", "-c", f"PATH={BIN}:$PATH; exec {PROCFILE['web']}"],
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_starting_runs_the_same_server_with_our_settings(start, upstream, tmp_path, way):
    own = {"REDIS_ADDRESS": "", "REDIS_URL": "", "DB_ADDRESS": f"sqlite:///{tmp_path / 'proxy.db'}", "JOURNAL_DIR": str(tmp_path / "journal")}
    server = start(tmp_path, command=WAYS[way], cwd=CHECKOUT, ADDRESS="", PORT=str(free_port()), **own)
    eve = server.person("Eve")
    answer = eve.get("/v1/models", headers={"Connection": "close"})  # one kept alive would be waited for when it stops
    assert answer.status_code == 200 and upstream.question().header("Authorization") == f"Bearer {KEY}"
    assert "Using worker: proxy_gpt.worker.Worker" in server.output() and f":{server.port} " in server.output()
    assert server.event(answer)["user_id"] == eve.id
    server.stop()
    assert server.process.returncode == 0


def refused(folder, *options, **settings):
    """What a server that must not start with these settings writes; it exits with 1."""
    server = Server(folder, **settings)
    done = subprocess.run(
        [*server.command, *options], cwd=folder, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
    )
    assert done.returncode == 1, done
    canary.keep("the output of a start that is refused", done.stdout)
    return done.stdout


@pytest.mark.parametrize(("name", "value"), [
    ("SESSION_DAYS", "x"), ("WEB_CONCURRENCY", "2"), ("ADDRESS", "no.such.host.invalid:80"), ("ADDRESS", "203.0.113.9:80"),
    ("JOURNAL_DIR", "/proc/nothing"), ("JOURNAL_DIR", __file__), ("DB_ADDRESS", "sqlite:////proc/nothing/proxy.db"),
    ("DB_ADDRESS", f"sqlite:///{__file__}"), ("DB_ADDRESS", "postgresql://u:hidden@127.0.0.1:1/d"),
    ("DATABASE_URL", "postgres://u:hidden@127.0.0.1/d?no_such_option=1"), ("REDIS_ADDRESS", "redis://:hidden@127.0.0.1:1?timeout=hidden"),
    ("REDIS_URL", "redis://:hidden@127.0.0.1:1?no_such_option=1"),
])  # fmt: skip
def test_a_setting_that_cannot_be_used_stops_the_start_with_one_sentence(tmp_path, name, value):
    output = refused(tmp_path, **{name: value})
    assert output.startswith("proxy-gpt: ") and output.endswith("\n")
    assert name in one_sentence(output.strip())


@pytest.mark.parametrize(("line", "setting"), [("SINGUP=hidden", "SIGNUP"), ("signup=hidden", "SIGNUP"), ("DB_ADRESS=sqlite:///hidden.db", "DB_ADDRESS")])
def test_a_misspelt_name_in_the_env_file_stops_the_start_and_in_the_environment_is_a_warning(tmp_path, start, line, setting):
    (tmp_path / ".env").write_text(line)
    name, _, value = line.partition("=")
    sentence = one_sentence(refused(tmp_path).strip())
    assert sentence.startswith("proxy-gpt: ") and repr(name) in sentence and setting in sentence.replace(repr(name), "")
    assert not (tmp_path / "proxy.db").exists()
    output = start(**{name: value}).output()
    assert output.count(repr(name)) == 1 and "hidden" not in output


def test_a_blank_value_in_the_environment_leaves_what_the_env_file_says(tmp_path, start):
    (tmp_path / ".env").write_text("SIGNUP=closed\n")
    assert "(SIGNUP=closed)" in start(tmp_path, SIGNUP=" ").output()


@pytest.mark.parametrize("count", ["many", "1_0", "²", "0x10", "1.5", "-1", "0", "2 3"])
def test_a_number_of_workers_that_is_none_stops_the_start_with_the_sentence(tmp_path, count):
    sentence = one_sentence(refused(tmp_path, WEB_CONCURRENCY=count).strip())
    assert sentence.startswith("proxy-gpt: WEB_CONCURRENCY must be a whole number from 1 to 512")


@pytest.mark.parametrize("count", ["", " ", " 1 ", "01"])
def test_a_number_of_workers_may_be_blank_or_have_blanks_around_it(start, count):
    server = start(WEB_CONCURRENCY=count)
    assert len(server.workers()) == 1


def test_an_admin_key_is_warned_of_and_not_shown(start):
    output = start(API_KEY=f"sk-admin-{canary.MARK}").output()
    assert output.count("API_KEY is an admin key") == 1 and canary.MARK not in output


def test_a_damaged_sqlite_file_stops_the_start_with_the_advice_to_put_a_backup_in_its_place(tmp_path):
    damaged, address = tmp_path / "damaged", f"sqlite:///{tmp_path / 'damaged'}"
    execute_on_database(address, "CREATE TABLE anything (id)")
    content = bytearray(damaged.read_bytes())
    content[100] = 0xFF  # the kind of the first page
    damaged.write_bytes(content)
    sentence = one_sentence(refused(tmp_path, DB_ADDRESS=address).strip())
    assert "is damaged" in sentence and f"'{damaged}-wal'" in sentence and "backup" in sentence


def test_a_postgresql_that_refuses_the_password_or_the_name_stops_the_start(tmp_path, postgres):
    address = postgres().rpartition("?")
    for wrong in (address[0].rpartition("/")[0] + "/no_such_database?" + address[2], address[0].replace("postgres:", "nobody:hidden") + "?" + address[2]):
        assert "DB_ADDRESS" in one_sentence(refused(tmp_path, DB_ADDRESS=wrong).strip())


def test_more_workers_by_gunicorns_own_option_are_refused_too(tmp_path):
    sentence = one_sentence(refused(tmp_path, "--workers", "2").splitlines()[-1])
    assert "WEB_CONCURRENCY" in sentence and "REDIS_ADDRESS" in sentence


def test_a_worker_that_starts_while_the_database_is_locked_waits_for_it(start, upstream):
    server = start()
    eve = server.person("Eve")
    with locked(server.database):
        os.kill(server.workers()[0], signal.SIGKILL)
        eventually(lambda: answers(eve), within=4)
    assert "Traceback" not in server.output()
    assert server.event(eve.get("/v1/models"))["status"] == 200


def answers(person):
    """Whether somebody's request is answered; the server may be between two workers."""
    try:
        return person.get("/user/session", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_without_a_key_there_is_one_warning_and_no_credential(start, upstream, redis_address):
    server = start(API_KEY="", REDIS_ADDRESS=redis_address, WEB_CONCURRENCY="2")
    eventually(lambda: len(server.workers()) == 2 and server.output().count("Booting worker") == 2)
    server.person("Eve").get("/v1/models")
    assert {"authorization", "api-key"} & {name.lower() for name, _ in upstream.question().headers} == set()
    assert server.output().count("API_KEY") == 1


def test_without_redis_the_server_starts_says_so_once_and_serves(start, upstream):
    with socket.create_server(("127.0.0.1", 0)) as no_redis:
        server = start(REDIS_ADDRESS=f"redis://:hidden@127.0.0.1:{no_redis.getsockname()[1]}", WEB_CONCURRENCY="2")
        assert server.person("Eve").get("/v1/models").status_code == 200
        for _ in range(10):  # as many tries of two workers and of who looked before them
            no_redis.accept()[0].close()
    output = server.output()
    assert output.count("REDIS_ADDRESS (or REDIS_URL): Redis cannot be reached") == 1
    assert output.count("The subscription in Redis broke off") == 2  # one a worker
    assert "hidden" not in output and "Traceback" not in output


@pytest.mark.parametrize(("skip", "warned"), [(None, True), ("true", False)])
def test_a_redis_whose_certificate_nobody_has_signed_is_used_only_if_told_so(start, redis_server, skip, warned):
    front = TlsFront(redis_server.port)
    server = start(REDIS_ADDRESS=f"rediss://127.0.0.1:{front.port}/0", REDIS_SKIP_VERIFY=skip, WEB_CONCURRENCY="1")
    assert ("Redis cannot be reached" in server.output()) == warned
    front.stop()


def test_the_env_file_of_the_working_directory_counts(tmp_path, start, upstream):
    (tmp_path / ".env").write_text(f"PORT={free_port()}\nPASSWORD_MIN_LENGTH=9\nAPI_KEY=sk-from-the-file-{canary.MARK}\nAPI_URL=http://127.0.0.1:1\n")
    port = int((tmp_path / ".env").read_text().splitlines()[0].removeprefix("PORT="))
    server = start(tmp_path, ADDRESS=None, API_KEY=None, listens_on=port)
    short = requests.post(f"{server.url}/user/signup", data={"username": "Eve", "password": "12345678"}, timeout=5)
    assert short.status_code == 400
    assert server.person("Eve").get("/v1/models").status_code == 200  # API_URL: the environment wins
    assert upstream.question().header("Authorization") == f"Bearer sk-from-the-file-{canary.MARK}"


def test_it_listens_on_every_address_unless_told_otherwise(start):
    server = start(ADDRESS=f":{(port := free_port())}", listens_on=port, SIGNUP="open")
    with socket.create_connection(("127.0.0.2", port), timeout=5):
        assert f"0.0.0.0:{port}" in server.output()
    assert server.output().count("SIGNUP is open") == 1


@pytest.mark.parametrize("settings", [{"SIGNUP": "open"}, {"SIGNUP": "closed", "ADDRESS": ":0"}, {"ADDRESS": ":0"}])
def test_no_warning_of_sign_ups_by_strangers_where_there_are_none(start, settings):
    if "ADDRESS" in settings:
        settings = {**settings, "ADDRESS": f":{(port := free_port())}", "listens_on": port}
    assert "SIGNUP is open" not in start(**settings).output()
