"""The console command `proxy-gpt`: gunicorn, with this package's configuration."""
import sys

from gunicorn.app.wsgiapp import WSGIApplication


def main():
    """Serve until a signal comes. Further arguments go to gunicorn: `proxy-gpt --help` shows them."""
    sys.argv[1:1] = ["--config", "python:proxy_gpt.gunicorn_conf"]
    WSGIApplication("%(prog)s [OPTIONS]", prog="proxy-gpt").run()


if __name__ == "__main__":
    main()
