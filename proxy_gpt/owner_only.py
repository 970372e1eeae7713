"""Files and folders that only their owner can use, whatever the umask is."""
import contextlib
import os
import stat

OTHERS = 0o077  # the rights of all but the owner


def make(path):
    """Make an empty file of this name, if there is nothing."""
    with contextlib.suppress(OSError):  # it is there already, or whoever opens it says why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def shut(path):
    """Take the rights of others from a file or folder, if it is there."""
    # One that belongs to somebody else cannot be changed, which is its owner's affair: whether it can be used shows when it is opened.
    with contextlib.suppress(OSError):
        mode = os.stat(path).st_mode
        if mode & OTHERS and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            os.chmod(path, stat.S_IMODE(mode) & ~OTHERS)
