"""How warnings and gunicorn's own words look, and by whom they are written."""
import json
import logging
import sys
from datetime import datetime, timezone

from gunicorn.glogging import Logger

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


class ServerLog(Logger):
    """gunicorn's logger, in the format of LOG_FORMAT, and so the root's. By its setting `logconfig_dict` gunicorn would do the
    work for its access log too, with every request, though there is none.
    """

    style = TEXT  # LOG_FORMAT

    def setup(self, cfg):
        """Called by gunicorn when it starts, and when it reads its configuration again."""
        super().setup(cfg)
        formatter = JsonFormatter() if self.style == JSON else logging.Formatter(self.error_fmt, self.datefmt)
        if not logging.root.handlers:
            logging.root.addHandler(logging.StreamHandler(sys.stderr))
        for handler in (*logging.root.handlers, *self.error_log.handlers):
            handler.setFormatter(formatter)


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

    def hurry(self):
        """Write what has gathered."""
        self.stdout.hurry()
        self.stderr.hurry()

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
