"""The files of a stranger's tree: how they are read, and what their paths say of them. Writing our own.

Only regular files are read, and none that is larger than allowed.
Opening a named pipe waits for a writer, and a device never ends; neither holds source or settings.

Whether a cached report still holds is found out with this, so it imports next to nothing.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[[str, int], bytes]  # `read`, or what remembers what it has read


SUPPRESSION = b"hermetic:"  # what no suppression comment is without


def read(path: str, largest: int) -> bytes:
    """The bytes of a regular file. Raises OSError, whose `strerror` says why, for everything else."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(None, "is a directory", path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(None, "is no regular file", path)
        if status.st_size > largest:
            raise OSError(None, f"larger than {largest // 1024 // 1024} MB", path)
        return file.read(largest + 1)


def lines(data: bytes) -> list[str]:
    """The lines of a file as Python counts them; str.splitlines knows more."""
    return decode(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def decode(data: bytes) -> str:
    """Source text for display, by its encoding cookie, whatever is wrong with it."""
    if b"coding" not in b"".join(data.split(b"\n", 2)[:2]):  # almost always, and `tokenize` is slow to import
        return data.decode("utf-8", "replace").removeprefix("\ufeff")
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding, "replace").removeprefix("\ufeff")
    except (SyntaxError, LookupError):
        return data.decode("utf-8", "replace")


def write(path: Path, text: str) -> None:
    """Write a whole file in UTF-8, with its directories: whoever reads meanwhile finds the old one or the new one.

    Links are followed, and what is no regular file, as `/dev/null`, is written to in place. Raises OSError; the old
    file is still there then.
    """
    import tempfile

    path = type(path)(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, _mode_of(path))
        os.replace(temporary, path)
    except BaseException:
        try:  # noqa: SIM105 - what contextlib would take to import
            os.unlink(temporary)
        except OSError:
            pass
        raise


def _mode_of(path: Path) -> int:
    """The permissions of a file; for a new one those that it would get from `open`."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


_TEST_DIRECTORIES = frozenset(("tests", "test", "testing", "e2e", "e2e_tests", "integration_tests", "unit_tests"))
_MIGRATION_DIRECTORIES = frozenset(("alembic", "migrations", "migration", "versions"))


def is_test(path: str) -> bool:
    """Is the file part of a test suite?"""
    *directories, name = path.split("/")
    if name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py"):
        return True
    return not _TEST_DIRECTORIES.isdisjoint(directories)


def is_migration(path: str) -> bool:
    """Is the file a database migration?"""
    return not _MIGRATION_DIRECTORIES.isdisjoint(path.split("/")[:-1])
