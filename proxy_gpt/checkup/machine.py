"""What the machine gives: an address to listen on, a folder for the journal, open files."""
import os
import resource
import shutil

from proxy_gpt import preflight
from proxy_gpt.checkup.finding import ok, problem, warning
from proxy_gpt.errors import SettingError
from proxy_gpt.eventlog.journal import folder_for

ROOM = 500 << 20  # bytes that should be free on a disk
FEW = 2000  # connections of a worker


def examine(settings):
    """Yield the Findings."""
    try:
        preflight.check_host(settings.host)
    except SettingError as error:
        yield problem("address", str(error))
    yield from _journal(settings)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = 10_000 if most == resource.RLIM_INFINITY else min(10_000, max(10, most - 100) // 2)
    if connections < FEW:
        yield warning("open files", f"A worker may open {most} files, which is enough for {connections} connections. Raise the hard limit (ulimit -n) to 20100.")
    else:
        yield ok("open files", f"Enough for {connections} connections to a worker.")


def room(about, path):
    """Yield a Finding where the disk of a path is nearly full."""
    free = shutil.disk_usage(path).free
    if free < ROOM:
        yield warning(about, f"Its disk has {free >> 20} MB left. Make room: with none, nothing can be written.")


def _journal(settings):
    path = os.path.abspath(settings.journal_dir)
    if not os.path.isdir(path):  # it is not made here: whoever looks may be another user than the server
        yield warning("journal", "The folder JOURNAL_DIR is not there. The server makes it when it starts, if it may.")
        return
    try:
        preflight.check_folder(path)
    except SettingError as error:
        yield problem("journal", str(error))
        return
    waiting = sum(file.stat().st_size for file in folder_for(path, settings.database).glob("*/*"))
    yield ok("journal", f"The folder can be written. It has {waiting} bytes of events, most of which the database may have already.")
    yield from room("journal", path)
