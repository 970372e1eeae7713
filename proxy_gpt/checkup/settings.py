"""The settings themselves: what is wrong with them, and what is right but dangerous."""
import contextlib
import os
import stat

from proxy_gpt import preflight
from proxy_gpt.checkup.finding import ok, problem, warning
from proxy_gpt.config import FILE
from proxy_gpt.errors import SettingError
from proxy_gpt.prices import Prices

ABOUT = "settings"
SHORT = 12  # characters of a password where strangers sign up
SHORT_TOKEN = 16  # characters of METRICS_TOKEN


def examine(settings, faults):
    """Yield the Findings."""
    yield from (problem(ABOUT, fault) for fault in faults)
    advice = [*_advice(settings)]
    yield from (warning(ABOUT, text) for text in advice)
    if not (faults or advice):
        yield ok(ABOUT, "All settings can be used.")
    if not faults:
        yield ok(ABOUT, preflight.WHO_SIGNS_UP[settings.signup])
    yield from _prices(settings)


def _advice(settings):
    yield from preflight.advice(settings)
    if _others_can_read(FILE):
        yield "Other users of this machine can read the file .env: run 'chmod 600 .env'."
    if preflight.strangers_sign_up(settings) and settings.password_min_length < SHORT:
        yield f"PASSWORD_MIN_LENGTH is {settings.password_min_length}: where people other than you sign up, set {SHORT}."
    if "*" in settings.trusted_proxies:
        yield "TRUSTED_PROXIES is *: whoever connects may say who the caller is. That is right only where nobody but the host's own router can connect."
    if settings.metrics_token and len(settings.metrics_token) < SHORT_TOKEN:
        yield f"METRICS_TOKEN is short: take {SHORT_TOKEN} characters or more, such as those that 'openssl rand -hex 16' prints."


def _others_can_read(path):
    with contextlib.suppress(OSError):
        return bool(os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH))
    return False


def _prices(settings):
    try:
        prices = Prices.load(settings.prices)
    except SettingError as error:
        yield problem("prices", str(error))
        return
    unknown = sorted({model for _, model in settings.models if not prices.knows(model)})
    if unknown:
        yield warning("prices", f"There is no price for {', '.join(unknown)}, of the setting MODELS: what they cost is not known. Add them to the file PRICES.")
    else:
        yield ok("prices", "Each model of the setting MODELS has a price.")
