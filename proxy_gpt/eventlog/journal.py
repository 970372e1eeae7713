"""The journal: an append-only file of one process. What is written here survives the process, not the machine.

Each line is one JSON array of an event's columns, after a letter: `I` for an intent (the request is about to go upstream)
or `O` for the outcome (the event is whole). The folder of a living process is locked; a folder that can be locked belongs
to a dead one. The kernel gives a lock back when its process ends, however it ends.
"""
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
from pathlib import Path

from proxy_gpt import owner_only
from proxy_gpt.ids import new_id

SEGMENT_BYTES = 8 << 20
UNFINISHED = "next"  # a segment before it gets its number: from then on the shipper may drop the one before
INTENT, OUTCOME = b"I", b"O"
OURS = re.compile("[0-9a-f]{16}")  # the name of a database's folder
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def folder_for(journal_dir, database):
    """The folder of all processes that log into this database: leftovers must not reach another one."""
    name = hashlib.sha256(_without_password(database).encode()).hexdigest()[:16]
    return Path(journal_dir).absolute() / name


def restrict(journal_dir, database):
    """Let only the owner use this database's journals, old ones too."""
    with contextlib.suppress(PermissionError):  # a folder that we may write to but not list belongs to somebody else
        if all(OURS.fullmatch(name) for name in os.listdir(journal_dir)) and not os.stat(journal_dir).st_mode & stat.S_ISVTX:
            owner_only.restrict(journal_dir)  # else it is a folder for other things too, such as /tmp
    for folder, _, files in os.walk(folder_for(journal_dir, database)):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            owner_only.restrict(path)


def _without_password(database):
    if "@" in database:
        return database.rpartition("@")[2]
    return database if "://" in database else os.path.abspath(database)


class Journal:
    """Writes one process's journal, in segments of some megabytes."""

    def __init__(self, folder):
        self.folder, self.lock = _make_locked(folder)
        self.waiting = {}  # intents without outcome, by event id
        self.number = 0
        self._open(_name(self.number))

    def intend(self, event_id, row):
        """Write down that this request is about to go upstream. Raises OSError when the disk is full."""
        line = INTENT + _encode(row).encode() + b"\n"
        self._write(line)
        self.waiting[event_id] = line

    def finish(self, event_id, row):
        """Write down the whole event. Raises OSError when the disk is full; nothing of it is then in the journal."""
        self._write(OUTCOME + _encode(row).encode() + b"\n")
        self.waiting.pop(event_id, None)
        if self.size > SEGMENT_BYTES:
            self._next_segment()

    def segments(self):
        """The paths of the segments, oldest first; the last one is being written."""
        return segments(self.folder)

    def close(self):
        """Stop writing. The folder goes when nothing in it is left to ship."""
        os.close(self.file)
        if not self.segments():
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self.lock)

    def _open(self, name):
        self.size = 0
        self.file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _write(self, line):
        # One write for one line: the line is then there whole, or a kill came first. A short write means a full disk.
        if os.write(self.file, line) != len(line):
            os.ftruncate(self.file, self.size)  # the next line must not go on where this one broke off
            raise OSError(errno.ENOSPC, "The journal's disk is full.")
        self.size += len(line)

    def _next_segment(self):
        """Go on in a new file, which starts with the intents that still wait, so that the old one can go."""
        old = self.file, self.size
        try:
            self._open(UNFINISHED)
            for line in self.waiting.values():
                self._write(line)
            os.rename(self.folder / UNFINISHED, self.folder / _name(self.number + 1))
        except OSError:  # the disk is full: the old one has to do, until the next event tries again
            if self.file != old[0]:
                os.close(self.file)
            (self.folder / UNFINISHED).unlink(missing_ok=True)
            self.file, self.size = old
            return
        os.close(old[0])
        self.number += 1


def _name(number):
    return f"{number:08d}"


def segments(folder):
    """The paths of a process's segments, oldest first."""
    return sorted(path for path in folder.iterdir() if path.name.isdigit())


def take_over(folder):
    """Yield the folder of each process that is dead, locked for us while the caller is busy with it."""
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if path.name.startswith("."):
            continue
        try:
            lock = _lock(path)
        except OSError:  # its process lives, or another one has just finished with it
            continue
        try:
            yield path
        finally:
            os.close(lock)


def parse(line):
    """(INTENT or OUTCOME, row) of a line. Raises ValueError for a line that a kill cut short."""
    return line[:1], json.loads(line[1:])


def _make_locked(folder):
    """A new folder with its lock. It gets its real name when it is locked, so that nobody takes it for a dead one's."""
    for path in (folder.parent, folder):  # `mode` is for the last folder of a path only
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = new_id()
    hidden = folder / f".{name}"
    hidden.mkdir(mode=0o700)
    lock = _lock(hidden)
    return hidden.rename(folder / name), lock


def _lock(path):
    """A locked descriptor of the folder. Raises OSError when another process holds it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
