"""Tables in files: JSON Lines, CSV and parquet, read with errors that name the row, and written atomically."""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gsr_rl.errors import UsageError
from gsr_rl.files import read_jsonl, replacing

Row = dict[str, Any]

_BYTE_ORDER_MARK = "\ufeff"
_NO_TEXT = re.compile("[\ud800-\udfff\0]")


def iter_rows(path: str | Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """The rows of a .jsonl, .csv or .parquet file, one by one, so that a file of any length takes little memory.

    There is at least one row, and each has all of `columns`. Values of a CSV file are strings. Blank lines of a .jsonl
    or .csv file are skipped.

    Yields:
        The row's number, counted from 1, and the row. In a .jsonl file the number is that of the line.

    Raises:
        UsageError: there is no such file, it cannot be read, it has no rows, or a row lacks a column. The error names
            the file and, where there is one, the row.
    """
    path = Path(path)
    readers = {".jsonl": _iter_jsonl, ".csv": _iter_csv, ".parquet": _iter_parquet}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path}: unknown file type; give a .jsonl, .csv or .parquet file")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; check the path")
    empty = True
    try:
        for number, row in readers[path.suffix.lower()](path):
            for column in columns:
                if column not in row:
                    raise UsageError(f"{path}: row {number}: no column '{column}'; it has {', '.join(map(str, row))}")
            empty = False
            yield number, row
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{path}: cannot be read ({reason}); write the file again") from error
    if empty:
        raise UsageError(f"{path}: no rows; give a file with at least one")


def text_of(value: object, column: str, where: str) -> str:
    """The text in a cell. A string stays as it is, and a number is written out.

    Raises:
        UsageError: the cell is empty, null, NaN, infinite, or neither text nor a number, or it holds half a surrogate
            pair or a NUL. The error names `where` (file and row) and `column`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: '{column}' holds no text; fill it in or drop the row")
    if found := _NO_TEXT.search(value):
        what = "a NUL" if found[0] == "\0" else "half a surrogate pair"
        raise UsageError(f"{where}: '{column}' holds {what}, which is no text; fix it or drop the row")
    return value


def write_jsonl(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines in UTF-8, atomically. Half a surrogate pair, which UTF-8 lacks, becomes its escape."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_parquet(path: str | Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    """Write rows as parquet with the columns of `schema`, atomically."""
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)


def _iter_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for where, row in read_jsonl(path):
        yield int(where.rpartition(":")[2]), row


def _iter_csv(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            # Files that were joined have byte order marks within.
            cells = {name: _without_mark(cell) for name, cell in row.items()}
            if any(not isinstance(cell, str) or cell.strip(" \t\r\n\x1a") for cell in cells.values() if cell):
                yield number, cells  # not a line of blanks


def _without_mark(cell: Any) -> Any:
    return cell.removeprefix(_BYTE_ORDER_MARK) if isinstance(cell, str) else cell


def _iter_parquet(path: Path) -> Iterator[tuple[int, Row]]:
    with pq.ParquetFile(path) as file:
        yield from enumerate(
            (row for batch in file.iter_batches(batch_size=1024) for row in batch.to_pylist()), start=1
        )
