"""One file a project root, in two parts: reports with what they depend on, which are read first and alone, and facts.

The file begins with whose it is: of which root, and written by which hermetic. Both parts, and the facts of each file,
carry checksums, because `marshal` trusts what it reads. A foreign or damaged file is none: the run is a cold one.
"""

from __future__ import annotations

import marshal
import os
from _imp import source_hash

from hermetic.cache import place
from hermetic.cache.inputs import Directories, Files, Places
from hermetic.cache.stamp import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Working directory, arguments, and whatever else of the surroundings shows in a report.
Key = tuple[object, ...]
# The paths that were given, the exit code, and the text around the number of seconds, if it is in there; then the key
# of the results behind it, or None if it also shows code.
Report = tuple[Places, int, str, str | None, Key | None]
# What results hang on beside facts: of each file the lines that they name; None where comments have a say.
Text = dict[int, str] | None
Texts = dict[str, Text]
# The results behind a report, packed: they can be shown in another format, or another width. Last, the digests of texts
# that stood for files.
Packed = tuple[Places, bytes, Texts, dict[str, bytes]]
Front = tuple[Directories, Files, dict[Key, Report], dict[Key, Packed]]
# Digest of a file's content -> place and checksum of its facts, and how many runs ago they were last of use.
Index = dict[bytes, tuple[int, int, bytes, int]]

MAGIC = b"hermetic cache 4\n"
NUMBER = 8  # bytes of a length and of a checksum
HEADER = len(MAGIC) + 5 * NUMBER  # whose it is, then length and checksum of each part


def owner_of(root: str) -> bytes:
    """How the file of a root begins that this hermetic can use. It takes a look at all of hermetic's own files."""
    return MAGIC + source_hash(0, f"{stamp()}\0{root}".encode("utf-8", "surrogatepass"))


def read_front(path: str, owner: bytes) -> Front | None:
    """The reports of a file and what they depend on. Raises Distrusted."""
    opened = _open(path)
    if opened is None:
        return None
    try:
        with open(opened, "rb") as file:
            header = file.read(HEADER)
            length = _number(header, 1)
            if not _is_header(header, owner) or length > os.fstat(opened).st_size:
                return None
            front: Front | None = _unpacked(file.read(length), _part(header, 2))
            return front
    except OSError:
        return None


class Facts:
    """The facts in a file, by the digest of what they were made from."""

    def __init__(self, index: Index, blobs: bytes) -> None:
        self.index = index
        self._blobs = blobs

    def get(self, digest: bytes) -> bytes | None:
        """Marshalled facts, or None if there are none that are whole."""
        if digest not in self.index:
            return None
        blob = self.unchecked(digest)
        return blob if checksum(blob) == self.index[digest][2] else None

    def unchecked(self, digest: bytes) -> bytes:
        """The same, whole or not. Raises KeyError."""
        offset, length, _, _ = self.index[digest]
        return self._blobs[offset : offset + length]


def read(path: str, owner: bytes) -> tuple[Front | None, Facts]:
    """All that a file holds. Raises Distrusted."""
    nothing = Facts({}, b"")
    opened = _open(path)
    if opened is None:
        return None, nothing
    try:
        with open(opened, "rb") as file:
            content = file.read()
    except (OSError, MemoryError):
        return None, nothing
    if not _is_header(content, owner):
        return None, nothing
    middle = HEADER + _number(content, 1)
    end = middle + _number(content, 3)
    front = _unpacked(content[HEADER:middle], _part(content, 2))
    index = _unpacked(content[middle:end], _part(content, 4))
    return front, nothing if index is None else Facts(index, content[end:])


def write(path: str, owner: bytes, front: Front, index: Index, blobs: Iterable[bytes]) -> None:
    """Put a new file in the place of the old one, in one step. Raises OSError and Distrusted."""
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o700, exist_ok=True)
    place.check(directory)
    parts = [marshal.dumps(front), marshal.dumps(index)]
    header = b"".join(len(part).to_bytes(NUMBER, "little") + checksum(part) for part in parts)
    temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}{place.UNFINISHED}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(owner + header)
            file.writelines((*parts, *blobs))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _open(path: str) -> int | None:
    """A descriptor of a file that only its owner may have written. Raises Distrusted."""
    place.check(os.path.dirname(path))
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return None
    try:
        place.distrust(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_header(content: bytes, owner: bytes) -> bool:
    return content.startswith(owner) and len(content) >= HEADER


def _part(header: bytes, number: int) -> bytes:
    start = len(MAGIC) + number * NUMBER
    return header[start : start + NUMBER]


def _number(header: bytes, number: int) -> int:
    return int.from_bytes(_part(header, number), "little")


def checksum(part: bytes) -> bytes:
    """What shows whether bytes are whole. It is no protection against whoever wants to deceive."""
    return source_hash(0, part)


def _unpacked(part: bytes, expected: bytes) -> Any:
    return marshal.loads(part) if checksum(part) == expected else None
