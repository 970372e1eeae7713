"""`python -m tests.fake_openai`: OpenAI for those without a key at hand, to be used with API_URL=http://localhost:9090."""
import click

from tests.fake_openai.server import FakeOpenAI


@click.command()
@click.option("--port", default=9090, show_default=True, help="The port to listen on, at 127.0.0.1.")
def main(port):
    """Play OpenAI until Ctrl-C."""
    server = FakeOpenAI(port)
    click.echo(f"Playing OpenAI: API_URL={server.url}")
    try:
        server.thread.join()
    except KeyboardInterrupt:
        server.stop()


main()
