"""Faults of ours: what is raised without being meant."""
import logging
import os

from proxy_gpt.errors import ProxyError

logger = logging.getLogger(__name__)


def reported(error, request_id):
    """The ProxyError that answers a fault. The type and place go to the log, never the text: it may hold what a user sent."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
    logger.error("A fault of the proxy in request %s: %s at %s", request_id, type(error).__name__, place)
    return ProxyError("The proxy has a fault. Tell its operator the id in the header x-proxy-request-id.")
