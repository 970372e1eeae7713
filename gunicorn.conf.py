"""What bare `gunicorn` in this folder, the Procfile's line and `proxy-gpt` all run: see the module named here."""
from proxy_gpt.gunicorn_conf import *  # noqa: F403
