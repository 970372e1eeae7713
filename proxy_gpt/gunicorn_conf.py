"""How gunicorn serves the proxy. Bare `gunicorn`, the Procfile's line and `proxy-gpt` all read this."""
from gevent import monkey

monkey.patch_all()  # before anything imports ssl or socket

import gc  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402

from proxy_gpt import db, preflight  # noqa: E402
from proxy_gpt.app import create_app  # noqa: E402
from proxy_gpt.config import load, many_workers  # noqa: E402
from proxy_gpt.errors import SettingError  # noqa: E402
from proxy_gpt.logs.setup import ServerLog  # noqa: E402
from proxy_gpt.metrics.catalog import Catalog  # noqa: E402
from proxy_gpt.metrics.cells import Cells  # noqa: E402
from proxy_gpt.metrics.tally import Tally  # noqa: E402
from proxy_gpt.postgres import cooperate_with_gevent  # noqa: E402
from proxy_gpt.worker import LONGEST_LINE, MOST_HEADERS, descriptors  # noqa: E402

try:
    settings = load()
    preflight.check(settings)
except SettingError as error:
    sys.exit(f"proxy-gpt: {error}")

wsgi_app = "proxy_gpt.gunicorn_conf:application()"
bind = f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = "proxy_gpt.worker.Worker"  # gevent's: a thousand streams wait in one process
worker_connections = min(10_000, max(10, descriptors(20_100) - 100) // 2)  # each has one to the upstream too; more wait to be accepted
keepalive = min(5, settings.client_timeout)  # seconds that a connection may be idle, and that the head of a request may take
timeout = 60  # seconds without a sign of life after which a worker is stuck; a long request is none
graceful_timeout = settings.drain_seconds + 5  # streams in flight may go on for DRAIN_SECONDS after SIGTERM
control_socket_disable = True  # it would be made under $HOME, which need not be writable
forwarded_allow_ips = ",".join(settings.trusted_proxies)  # who may say that a request came by https
forwarder_headers = ""  # nobody may say SCRIPT_NAME or PATH_INFO in a header: where a request goes is in its first line
header_map = "drop"  # X_Forwarded_For is not X-Forwarded-For, though the two look the same to WSGI
limit_request_line = limit_request_field_size = LONGEST_LINE
limit_request_fields = MOST_HEADERS
accesslog = None  # the lines of `logs` are the access log, and have ids and users
logger_class = ServerLog
ServerLog.style = settings.log_format
proc_name = "proxy-gpt"
catalog = Catalog(settings.models)
cells = Cells(catalog.width)  # shared with the workers, who are forked from here


def application():
    """The application, made in each worker."""
    cooperate_with_gevent()
    app = create_app(settings, Tally(settings, catalog, cells))
    gc.freeze()  # what is loaded by now stays: the collector need not look through it again and again
    return app


def on_starting(server):
    """Once, before the workers: say what an operator should know."""
    if server.cfg.workers > 1 and not settings.redis:  # gunicorn's own options can ask for more than the settings do
        sys.exit(f"proxy-gpt: {many_workers(server.cfg.workers)}")
    server.log.info(preflight.WHO_SIGNS_UP[settings.signup])
    for warning in preflight.warnings(settings):
        server.log.warning(warning)


def pre_fork(server, worker):
    """A worker is about to be made: it gets a row to count in."""
    worker.row = cells.take()


def post_fork(server, worker):
    """This process is a worker."""
    cells.mine = worker.row


def child_exit(server, worker):
    """A worker is dead: the next one goes on counting in its row."""
    cells.give_back(worker.row, catalog.passing_cells())


def post_worker_init(worker):
    """A worker is about to serve: notice when it is told to stop, which gunicorn tells nobody."""
    worker.wsgi.extensions["proxy"].says.take_over()
    threading.Thread(target=_drain_at_the_end, args=(worker,), name="drain", daemon=True).start()


def _drain_at_the_end(worker):
    pause = threading.Event()
    while worker.alive:
        pause.wait(0.1)
    worker.wsgi.extensions["proxy"].drain()


def worker_exit(server, worker):
    """A worker stops: write down what is left."""
    if getattr(worker, "wsgi", None) is not None:  # else it failed while it started
        worker.wsgi.extensions["proxy"].close()


def on_exit(server):
    """All workers are gone, even those that had to be killed."""
    db.leave_one_file(settings.database)
