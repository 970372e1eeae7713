"""/chat/stream while a server stops: nobody is kept there, not even those who ask for more on a connection they have."""
from tests.wire import Wire, bearer


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
