"""Results on disk by key: an answer in the journal has been paid for and is not asked for again.

The file is JSON lines, appended and never changed. Whatever ends a run leaves all lines but the last one whole.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import locked, parse_object

Row = dict[str, Any]


class Journal:
    """The rows of a file by their `key`; the rows themselves stay on disk. One process at a time has it open.

    A last line that a crash tore is dropped. If two rows have one key, the first counts.

    Raises:
        UsageError: another process has it open, or a line before the last is no row; names file and line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()  # so that a link to it shares its lock
        self._offsets: dict[str, int] = {}
        with ExitStack() as stack:
            stack.enter_context(locked(self.path.with_suffix(".lock")))
            # Unbuffered: a line that was written survives this process.
            self._file = stack.enter_context(self.path.open("ab", buffering=0))
            self._reader = stack.enter_context(self.path.open("rb"))
            self._end = self._read()
            os.truncate(self.path, self._end)
            self._opened = stack.pop_all()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._offsets:
            self.path.unlink()
        self._opened.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def __getitem__(self, key: str) -> Row:
        self._reader.seek(self._offsets[key])
        row: Row = json.loads(self._reader.readline())
        return row

    def rows(self) -> Iterator[Row]:
        """All rows, in the order in which they came in."""
        return (self[key] for key in self._offsets)

    def write(self, batch: Sequence[tuple[str, Row]]) -> None:
        """Append rows by their keys. They survive this process, and after `sync` a crash of the machine.

        Raises:
            UsageError: the disk is full. Earlier rows stay, and no row of this batch does.
        """
        lines = [json.dumps({"key": key, **row}).encode() + b"\n" for key, row in batch]
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            os.truncate(self.path, self._end)  # or the next line would continue a torn one
            raise self._full(error) from None
        for (key, _), line in zip(batch, lines, strict=True):
            self._offsets.setdefault(key, self._end)
            self._end += len(line)

    def sync(self) -> None:
        """Return when all that was written is on disk. Any thread may call it."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._full(error) from None

    def _full(self, error: OSError) -> UsageError:
        hint = "make room; the same command resumes"
        return UsageError(f"{self.path}: cannot be written ({error.strerror}); {hint}")

    def _read(self) -> int:
        """Note where each row starts; returns where the last whole row ends."""
        end = 0
        for number, line in enumerate(self._reader, start=1):
            try:
                key = str(parse_object(line, f"{self.path}:{number}")["key"])
            except (UsageError, KeyError):
                if self._reader.read(1):
                    raise UsageError(f"{self.path}:{number}: not a row of a journal; remove the line") from None
                return end  # torn
            if not line.endswith(b"\n"):
                return end
            self._offsets.setdefault(key, end)
            end += len(line)
        return end


class Appender:
    """Appends to a journal within one event loop. Rows that arrive together share one wait for the disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[str, Row]] = []
        self._writing = asyncio.Lock()
        self._failure: UsageError | None = None

    async def append(self, key: str, row: Row) -> None:
        """Add a row; when this returns, it is on disk.

        Raises:
            UsageError: the disk is full.
        """
        self._waiting.append((key, row))
        async with self._writing:  # the first writer writes for all that wait
            if self._failure is None and self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    self._journal.write(batch)
                    await asyncio.to_thread(self._journal.sync)
                except UsageError as failure:
                    self._failure = failure
            if self._failure is not None:
                raise self._failure
