"""What pages of other sites may do in a user's browser: nothing with the user's cookie, but for origins the operator lists.

A browser says where a request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata) over https and on localhost, `Origin` with
every POST and WebSocket (RFC 6454). Who sends neither is no browser, or follows a link, with which the cookie's
`SameSite=Lax` deals. Bearer tokens and basic auth are no concern here: no browser sends them by itself, since basic auth
is never asked for.
"""
import re
from urllib.parse import urlsplit

from flask import current_app, request

from proxy_gpt.current import proxy
from proxy_gpt.errors import PageOfAnotherSite

REFUSED = (
    "This request comes from a page of another site, which may not use your cookie here. "
    "The operator can allow its origin by the setting CORS_ORIGINS."
)
LOGOUT_REFUSED = "A GET by cookie is refused here. Log out by POST, from this site or an origin in CORS_ORIGINS."
SHOWN = ("document", "iframe", "frame", "fencedframe", "object", "embed")
PAGE_OR_PICTURE = re.compile("text/html|image/", re.I)
REMEMBER = 600  # seconds for which a browser need not ask again


def is_own_page():
    """Tell whether the request may use the cookie.

    Our own pages, listed origins, links, and requests that no page sent may.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None and origin in proxy().settings.cors_origins:
        return True
    if site is None:
        return origin is None or _host(origin) == request.host.lower()
    return site in ("same-origin", "none") or (origin is None and _is_link())


def is_shown():
    """Tell whether the browser will show the answer as a page."""
    return request.headers.get("Sec-Fetch-Dest") in SHOWN


def require_own_page():
    """Raise Forbidden where a page of another site would set or clear the cookie, which logs its user in as somebody else."""
    if "Authorization" not in request.headers and not is_own_page():
        raise PageOfAnotherSite(REFUSED)


def require_own_logout():
    """Reject a GET logout by cookie that another page may have caused."""
    headers = request.headers
    if headers.get("Origin") in proxy().settings.cors_origins or headers.get("Sec-Fetch-Site") == "same-origin":
        return
    by_browser = any(name.lower().startswith("sec-fetch-") for name in headers.keys())
    # Over plain http a browser sends none of these, but its links and pictures say which types they take.
    if by_browser or PAGE_OR_PICTURE.search(headers.get("Accept", "")) or not is_own_page():
        raise PageOfAnotherSite(LOGOUT_REFUSED)


def share(app, origins):
    """Let pages of these origins call all endpoints and read the answers (CORS, WHATWG Fetch, section 3.2)."""

    def answer_preflight():
        asked = request.method == "OPTIONS" and request.access_control_request_method
        return _preflight() if asked and request.headers.get("Origin") in origins else None

    def allow_reading(response):
        response.vary.add("Origin")
        if request.headers.get("Origin") in origins:
            _allow(response)
        return response

    if origins:
        app.before_request(answer_preflight)
        app.after_request(allow_reading)


def _preflight():
    response = current_app.response_class(status=204)
    response.access_control_allow_methods = [request.access_control_request_method]
    response.access_control_allow_headers = request.access_control_request_headers or ()
    response.access_control_max_age = REMEMBER
    return response


def _allow(response):
    response.access_control_expose_headers = {name.lower() for name in response.headers.keys()}
    response.access_control_allow_origin = request.headers["Origin"]
    response.access_control_allow_credentials = True


def _is_link():
    headers = request.headers
    return request.method in ("GET", "HEAD") and headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"


def _host(origin):
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[
        return ""
