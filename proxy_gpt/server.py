"""The console command `proxy-gpt`: gunicorn, with this package's configuration."""
import os
import sys

WORKERS = "WEB_CONCURRENCY"


def main():
    """Serve until a signal comes. Further arguments go to gunicorn: `proxy-gpt --help` shows them."""
    sys.argv[1:1] = ["--config", "python:proxy_gpt.gunicorn_conf"]
    gunicorn()("%(prog)s [OPTIONS]", prog="proxy-gpt").run()


def gunicorn():
    """Import gunicorn and return its application.

    gunicorn reads WEB_CONCURRENCY when it is imported, and ends with a traceback where that is not a number.
    """
    count = os.environ.pop(WORKERS, None)
    from gunicorn.app.wsgiapp import WSGIApplication

    if count is not None:  # our configuration reads it, and says what is wrong with it
        os.environ[WORKERS] = count
    return WSGIApplication


if __name__ == "__main__":
    main()
