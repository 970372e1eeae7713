"""/chat/stream at its beginning and end: whom it has let in hears all, and nobody is kept where the server stops."""
import contextlib
import select

import psycopg2

from tests.wire import WEB_SOCKET, Wire, bearer


def test_who_comes_back_on_the_same_connection_while_the_server_stops_is_sent_on_too(start):
    server = start()
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    with Wire(server, timeout=5) as wire:
        for _ in range(2):
            assert wire.ask("GET", f"/chat/stream?id={chat}", bearer(alice))[0] == 200
            assert wire.chunk().startswith(b"retry: ")
            server.process.terminate()
            assert wire.chunk() == b""


def test_a_web_socket_is_open_only_when_it_hears_the_chat(start, new_database):
    server = start(DB_ADDRESS=new_database("postgres"))
    alice = server.person("Alice")
    chat = alice.ask("/chat/create").json()["id"]
    request = [f"GET /chat/stream?id={chat} HTTP/1.1", "Host: proxy", bearer(alice), *WEB_SOCKET, "", ""]
    with Wire(server) as wire, contextlib.closing(psycopg2.connect(server.database)) as connection:
        connection.cursor().execute("LOCK TABLE chats")  # until then the server cannot know whether she may listen
        wire.send("\r\n".join(request).encode())
        assert select.select([wire.socket], [], [], 1)[0] == []
        connection.rollback()
        assert wire.head()[0] == 101
