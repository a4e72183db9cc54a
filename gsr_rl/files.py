"""Files that are read with errors that name the place, and written whole or not at all."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n\x0b\x0c\x1a"  # with the sign for the end of a file on DOS


def parse_object(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object of one line.

    Raises:
        UsageError: the line is not JSON, or not an object; names `where`.
    """
    try:
        row = json.loads(line)
    except ValueError as error:  # bad JSON and bad UTF-8 alike
        raise UsageError(f"{where}: not JSON ({error}); write one object per line") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not an object; write one object per line")
    return row


def read_jsonl(path: str | Path, still_written: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON Lines file, one by one, so that a file of any length takes little memory.

    Blank lines are skipped, byte order marks are ignored, and lines may end as on Windows.

    Args:
        still_written: another process may be appending to the file. A last line without an end is skipped.

    Yields:
        `<path>:<line number>`, for error messages, and the object. The number of the first line is 1.

    Raises:
        UsageError: the file cannot be read, or a line is not an object; names the file, and the line.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                line = line.removeprefix(_BYTE_ORDER_MARK)  # in joined files also within
                if line.strip(_BLANKS) and not (still_written and not line.endswith(b"\n")):
                    where = f"{path}:{number}"
                    yield where, parse_object(line, where)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a JSON Lines file") from error


def write_json(path: str | Path, value: Any, indent: int | None = 1) -> None:
    """Write `value` as JSON in ASCII, with an end of line, as `replacing` does.

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder, which takes the place of `path` if the block ends without an error.

    Makes missing folders.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path, key: str) -> None:
    """A folder can be written to, or made. Leaves no trace.

    Raises:
        UsageError: it cannot; names `key`.
    """
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryDirectory(dir=nearest):  # only trying tells: root may write nearly everywhere
            pass
    except OSError as error:
        raise UsageError(f"{key}={folder}: cannot be written ({error.strerror}); choose another folder") from None


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock file `path` against other processes. The kernel releases it when this process ends, in any way.

    Raises:
        UsageError: another process holds it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"{path}: process {file.read().strip()} is at work here; wait until it ends, or choose another run_dir"
            ) from None
        os.register_at_fork(after_in_child=file.close)  # or a child that outlives this process would keep the lock
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
