"""Files and folders that only their owner can use, whatever the umask is."""
import contextlib
import os
import stat

OTHERS = 0o077  # the rights of all but the owner


def create(path):
    """Create an empty file that only its owner can use."""
    with contextlib.suppress(OSError):  # it exists, or the one that opens it says why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def restrict(path):
    """Remove the rights of others from a file or folder."""
    # Only an owner can do this. A file that belongs to somebody else must not stop the start: whether we can use it shows when we open it.
    with contextlib.suppress(OSError):
        mode = os.stat(path).st_mode
        if mode & OTHERS and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            os.chmod(path, stat.S_IMODE(mode) & ~OTHERS)
