"""The server's own configuration, with a minute of one second for the counts of strangers."""
from proxy_gpt.eventlog import strangers
from proxy_gpt.gunicorn_conf import *  # noqa: F403

strangers.SECONDS = 1
