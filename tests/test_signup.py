"""Who can sign up: what each value of SIGNUP accepts and refuses, over real sockets, and what the start says about it."""
import json
import socket

import pytest
import requests

from tests.admin import Admin
from tests.conftest import numbers
from tests.server import BIN, error_of, free_port
from tests.wire import Wire

PASSWORD = "pw-c4n4ry"
HELP = "Ask the operator for an account ('proxy-admin create' or SIGNUP)."
# Header lines that a server in front adds, the start of what the refusal says, and the Host and version of the request.
FORWARDING = (
    "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 203.0.113.9", "x-forwarded-proto: http", "X-Forwarded-Host: localhost", "X-Forwarded-Port: 80",
    "X-Forwarded-Server: a", "X-Forwarded-Something: ", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "via: 1.1 front",
)  # fmt: skip
LOCAL_HOSTS = ("localhost", "localhost:8080", "LocalHost:1", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "localhost:")
OTHER_HOSTS = (
    "proxy", "proxy.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:localhost", "127.0.0.2", "0.0.0.0:8080", "::1", "[::2]",
    "notlocalhost", "localhost:80:80", "192.0.2.1", "",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(start):
    """A server as it is without any setting about sign-ups."""
    return start()


def sign_up(connection, *lines, host="localhost", version="1.1"):
    """(status, body) of a sign-up with these header lines."""
    form = f"username=person+{next(numbers)}&password={PASSWORD}"
    lines = [f"POST /user/signup HTTP/{version}", f"Host: {host}", *lines, f"Content-Length: {len(form)}", "Connection: close", "", form]
    connection.send("\r\n".join(lines).encode())
    status, headers = connection.head()
    return status, json.loads(connection.body(headers)[0])


def refused(server, *lines, **more):
    """The sentence with which a sign-up is refused; nobody is made by it, and its event says the same."""
    before = server.rows("SELECT COUNT(*) AS n FROM users")
    with Wire(server) as wire:
        status, body = sign_up(wire, *lines, **more)
    error = body["error"]
    assert (status, error["type"], error["code"], error["param"]) == (403, "permission_error", "signup_closed", None)
    assert error["message"].endswith(HELP) and len(error["message"].split()) <= 20
    assert server.rows("SELECT COUNT(*) AS n FROM users") == before
    return error["message"].removesuffix(f". {HELP}")


@pytest.mark.parametrize("host", LOCAL_HOSTS)
def test_by_default_a_program_on_this_machine_signs_up(server, host):
    with Wire(server) as wire:
        status, body = sign_up(wire, host=host)
    assert status == 200 and body["token"]


@pytest.mark.parametrize("line", FORWARDING)
def test_what_came_through_a_server_in_front_is_refused(server, line):
    assert refused(server, line) == "Sign-up is local only: a forwarding header is present"


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_a_request_to_another_host_is_refused(server, host):
    assert refused(server, host=host) == "Sign-up is local only: the Host is not localhost"


def test_a_request_of_http_1_0_is_refused(server):
    assert refused(server, version="1.0") == "Sign-up is local only: the request is not HTTP/1.1"


def test_a_refused_sign_up_leaves_an_event(server):
    answer = requests.post(f"{server.url}/user/signup", data={"username": "eve", "password": PASSWORD}, headers={"Via": "1.1 front"}, timeout=10)
    assert error_of(answer, 403)["code"] == "signup_closed"
    event = server.event(answer)
    assert (event["kind"], event["outcome"], event["status"]) == ("signup", "refused", 403)


@pytest.fixture(scope="module")
def socket_server(start, tmp_path_factory):
    """A server that listens on a socket of the file system, too: whoever connects there has no address."""
    folder, port = tmp_path_factory.mktemp("socket"), free_port()
    command = (BIN / "proxy-gpt", "--bind", "unix:front.sock", "--bind", f"127.0.0.1:{port}")
    return start(folder, command=command, listens_on=port)


class Connected(Wire):
    """A connection of another family than IPv4."""

    def __init__(self, family, address):
        self.socket = socket.socket(family)
        self.socket.settimeout(10)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")


def test_a_peer_without_the_address_of_this_machine_is_refused_whatever_it_claims(socket_server):
    for lines in ((), ("X-Forwarded-For: 127.0.0.1",)):
        with Connected(socket.AF_UNIX, str(socket_server.folder / "front.sock")) as wire:
            status, body = sign_up(wire, *lines)
        assert (status, body["error"]["message"]) == (403, f"Sign-up is local only: you connect from another machine. {HELP}")
    with Wire(socket_server) as wire:
        assert sign_up(wire)[0] == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_the_machine_itself_is_known_by_its_addresses_of_ipv6(start):
    server = start(ADDRESS=f"[::]:{(port := free_port())}", listens_on=port)
    for wire in (Wire(server), Connected(socket.AF_INET6, ("::1", port))):
        with wire:
            assert sign_up(wire)[0] == 200


@pytest.mark.parametrize("mode", ["invite", "closed"])
def test_nobody_signs_up_where_that_is_closed_and_the_operator_makes_the_accounts(start, tmp_path, mode):
    server = start(SIGNUP=mode)
    assert refused(server) == "Sign-up is closed" and server.rows("SELECT * FROM users") == []
    Admin(tmp_path, server.database).ok("create", "eve", PASSWORD)
    assert requests.post(f"{server.url}/user/login", data={"username": "eve", "password": PASSWORD}, timeout=10).status_code == 200


def test_everybody_signs_up_where_that_is_open(start):
    server = start(SIGNUP="open")
    for lines, more in (((FORWARDING[1], "Via: 1.1 front"), {}), ((), {"host": "proxy.example"}), ((), {"version": "1.0"})):
        with Wire(server) as wire:
            assert sign_up(wire, *lines, **more)[0] == 200


@pytest.mark.parametrize(("settings", "said"), [
    ({}, "Sign-up: programs on this machine only (SIGNUP=local)."), ({"SIGNUP": "invite"}, "(SIGNUP=invite)."),
    ({"SIGNUP": "open"}, "Sign-up: everybody who reaches this address (SIGNUP=open)."), ({"SIGNUP": "closed"}, "Sign-up: nobody (SIGNUP=closed)."),
])  # fmt: skip
def test_the_start_says_once_who_can_sign_up(start, settings, said):
    output = start(**settings).output()
    assert output.count("Sign-up: ") == 1 and said in output
