"""Files that are read with errors that name the place, and written whole or not at all."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError


def parse_object(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object of one line; UsageError, naming `where`, if it is none."""
    try:
        row = json.loads(line)
    except ValueError as error:  # bad JSON and bad UTF-8 alike
        raise UsageError(f"{where}: not JSON ({error}); write one object a line") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not an object; write one object a line")
    return row


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder, which takes the place of `path` if the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock file `path` against other processes. The kernel lets go of it with this process, however it ends.

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
        os.register_at_fork(after_in_child=file.close)  # or a child that outlives this process would hold it on
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
