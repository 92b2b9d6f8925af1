"""The file operations that the spool stands on; tests put a model of a disk in their place."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A file of a folder; its size in bytes, its time of change in seconds since 1970."""

    name: str
    size: int
    changed_at: float


class Disk:
    """Files that are locked while they are open. No symbolic link is followed; all methods raise OSError."""

    def make_folder(self, path: Path) -> None:
        """A folder for its owner only, also where it was there before."""
        with suppress(FileExistsError):
            path.mkdir(parents=True, mode=0o700)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(20, "the spool is not a folder", str(path))
        if found.st_uid != os.geteuid():
            raise PermissionError(13, "the spool is somebody else's", str(path))
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.chmod(path, 0o700)

    def create(self, path: Path) -> int:
        """A new file, locked before others can see it under its name."""
        unseen = path.with_suffix(".new")
        fd = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(unseen, path)
        except OSError:
            os.close(fd)
            unseen.unlink(missing_ok=True)
            raise
        return fd

    def open(self, path: Path) -> int:
        """A file that nobody else holds, locked."""
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink == 0:  # another process has just finished with it
                raise FileNotFoundError(2, "it is gone", str(path))
        except OSError:
            os.close(fd)
            raise
        return fd

    def size(self, fd: int) -> int:
        """In bytes."""
        return os.fstat(fd).st_size

    def changed_at(self, fd: int) -> float:
        """In seconds since 1970."""
        return os.fstat(fd).st_mtime

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """How many bytes were written, which may be fewer."""
        return os.pwrite(fd, data, offset)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """At most `length` bytes."""
        return os.pread(fd, length, offset)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """What was written survives a loss of power once this returns."""
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        """Let go of a file, and of its lock."""
        os.close(fd)

    def unlink(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def rename(self, path: Path, to: Path) -> None:
        """Move a file."""
        os.rename(path, to)

    def entries(self, folder: Path) -> Iterator[Entry]:
        """The plain files of a folder; none where there is no such folder."""
        try:
            found = os.scandir(folder)
        except FileNotFoundError:
            return
        with found:
            for one in found:
                try:
                    known = one.stat(follow_symlinks=False)
                except FileNotFoundError:  # its process has just removed it
                    continue
                if stat.S_ISREG(known.st_mode):
                    yield Entry(one.name, known.st_size, known.st_mtime)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder that is empty."""
        path.rmdir()
