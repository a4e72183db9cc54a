"""Rows in files: JSON lines, CSV and parquet, read with errors that name the place, written atomically."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing

Row = dict[str, Any]


def read_rows(path: str | Path, columns: Sequence[str]) -> list[Row]:
    """All rows of a file as `iter_rows` gives them: row `i` of the list is row `i + 1` there.

    Raises:
        UsageError: as `iter_rows`.
    """
    return list(iter_rows(path, columns))


def iter_rows(path: str | Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a .jsonl, .csv or .parquet file one by one, so that a file of any length takes little memory.

    At least one row, each with all of `columns`. CSV values are strings.

    Raises:
        UsageError: no such file, unreadable, empty, or a column is missing; names the file, and the row from 1.
    """
    path = Path(path)
    readers = {".jsonl": _iter_jsonl, ".csv": _iter_csv, ".parquet": _iter_parquet}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path}: unknown file type; give a .jsonl, .csv or .parquet file")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; check the path")
    number = 0
    try:
        for number, row in enumerate(readers[path.suffix.lower()](path), start=1):
            for column in columns:
                if column not in row:
                    raise UsageError(f"{path}: row {number}: no column '{column}'; it has {', '.join(map(str, row))}")
            yield row
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{path}: cannot be read ({reason}); write the file anew") from error
    if number == 0:
        raise UsageError(f"{path}: no rows; give a file with at least one")


def text_of(value: object, what: str, where: str) -> str:
    """A cell as text, unchanged if it is text already; numbers are written out.

    Raises:
        UsageError: empty, null, NaN, half a character, or neither text nor number; names `where` (file and row) and
            `what` (the column).
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: '{what}' holds no text; fill it in or drop the row")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(f"{where}: '{what}' holds half a surrogate pair, which is no text; mend it or drop the row")
    return value


def write_jsonl(path: str | Path, rows: Iterable[Row]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_parquet(path: str | Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)


def _iter_jsonl(path: Path) -> Iterator[Row]:
    empty = 0  # the first empty line that rows may follow; at the end they are none
    # Not universal newlines: a JSON string may hold U+2028 and its like.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line == "\n":
                empty = empty or number
                continue
            if empty:
                raise UsageError(f"{path}: line {empty} is not JSON (it is empty); write one object a line")
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{path}: line {number} is not JSON ({error}); write one object a line") from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}: line {number} is not a JSON object; write one object a line")
            yield row


def _iter_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _iter_parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()
