"""What serves the current request."""
from flask import current_app


def proxy():
    """What this process has opened: see `app.Proxy`."""
    return current_app.extensions["proxy"]
