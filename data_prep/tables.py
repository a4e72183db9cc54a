"""Rows in files: JSON lines, CSV and parquet, read with errors that name the place, written atomically."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing

Row = dict[str, Any]


def read_rows(path: str | Path, columns: Sequence[str]) -> list[Row]:
    """All rows of a .jsonl, .csv or .parquet file, at least one, each with all of `columns`. CSV values are strings.

    Raises:
        UsageError: no such file, unreadable, empty, or a column is missing. Row `i` of the list is row `i + 1` there.
    """
    path = Path(path)
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path}: unknown file type; give a .jsonl, .csv or .parquet file")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; check the path")
    try:
        rows = readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{path}: cannot be read ({reason}); write the file anew") from error
    if not rows:
        raise UsageError(f"{path}: no rows; give a file with at least one")
    for number, row in enumerate(rows, start=1):
        for column in columns:
            if column not in row:
                raise UsageError(f"{path}: row {number}: no column '{column}'; it has {', '.join(map(str, row))}")
    return rows


def text_of(value: object, what: str, where: str) -> str:
    """A cell as text, unchanged if it is text already; numbers are written out.

    Raises:
        UsageError: empty, null, NaN or neither text nor number; names `where` (file and row) and `what` (the column).
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: '{what}' holds no text; fill it in or drop the row")
    return value


def write_jsonl(path: str | Path, rows: Sequence[Row]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_parquet(path: str | Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)


def _read_jsonl(path: Path) -> list[Row]:
    # Not splitlines(): a JSON string may hold U+2028 and its like, which end a line there.
    lines = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    rows: list[Row] = []
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}: line {number} is not JSON ({error}); write one object a line") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}: line {number} is not a JSON object; write one object a line")
        rows.append(row)
    return rows


def _read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _read_parquet(path: Path) -> list[Row]:
    rows: list[Row] = pq.ParquetFile(path).read().to_pylist()
    return rows
