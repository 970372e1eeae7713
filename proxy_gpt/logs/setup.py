"""How warnings and gunicorn's own words look, and by whom they are written."""
import json
import logging
import sys
from datetime import datetime, timezone

from proxy_gpt import clock
from proxy_gpt.config import JSON, TEXT
from proxy_gpt.logs import lines
from proxy_gpt.logs.writer import Writer

LINES = {JSON: lines.as_json, TEXT: lines.as_text}


class JsonFormatter(logging.Formatter):
    """A message as one line of JSON."""

    def format(self, record):
        """The line, without its end."""
        said = {
            "time": clock.to_text(datetime.fromtimestamp(record.created, timezone.utc)), "level": record.levelname.lower(),
            "kind": "log", "logger": record.name, "pid": record.process, "message": record.getMessage(),
        }  # fmt: skip
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)


def gunicorn_config(style):
    """gunicorn's `logconfig_dict`: all on stderr."""
    logger = {"level": "INFO", "handlers": ["stderr"], "propagate": False}
    text = {"format": "%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "datefmt": "[%Y-%m-%d %H:%M:%S %z]"}
    return {
        "version": 1, "disable_existing_loggers": False,
        "formatters": {"ours": {"()": JsonFormatter} if style == JSON else text},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours", "stream": "ext://sys.stderr"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]}, "loggers": {"gunicorn.error": logger},
    }  # fmt: skip


class Log:
    """What one worker says. `request` writes an event's line, and does nothing where there are to be none."""

    def __init__(self, style):
        self.style = style
        self.stdout, self.stderr = Writer(1, self._warning), Writer(2, self._warning)
        self.as_line = LINES.get(style)

    def request(self, record):
        """A request has ended."""
        if self.as_line:
            self.stdout.put(self.as_line(record))

    def take_over(self):
        """From now on, what this process logs goes the same way: a stuck reader of stderr would stop gevent's loop too."""
        for logger in (logging.root, logging.getLogger("gunicorn.error")):
            for handler in logger.handlers:
                if getattr(handler, "stream", None) is sys.stderr:  # gunicorn's own options may have put others there
                    handler.setStream(Stream(self.stderr))

    def close(self):
        """Write what is left."""
        self.stdout.close()
        self.stderr.close()

    def _warning(self, sentence):
        now = clock.to_text(clock.now())
        if self.style == JSON:
            return json.dumps({"time": now, "level": "warning", "kind": "log", "message": sentence}) + "\n"
        return f"{now} {sentence}\n"


class Stream:
    """A Writer as the stream of a logging.StreamHandler, which writes whole lines."""

    def __init__(self, writer):
        self.write = writer.put

    def flush(self):
        """There is nothing to do."""
