"""Named sets read by `datasets`, from the Hugging Face hub or from a folder with the same files."""

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from data_prep.knights import benchmark
from data_prep.sets import SETS, Normal, ProblemSet
from data_prep.tables import Row, iter_rows, text_of
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError

NAMES = (*SETS, "knights_knaves")
_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}


@dataclass
class Loaded:
    """The problems of a set, where they come from, and how many of its rows are none of them, by reason."""

    problems: list[Problem]
    origin: str
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def load_set(name: str, *, revision: str | None = None, mirror: str | Path | None = None) -> Loaded:
    """A set by its name: of `data_prep.sets` as the hub has it, but for rows that repeat another one, or the puzzles of
    `knights_knaves`.

    Args:
        revision: commit of the repository in place of the pinned one; the number of rows is then not checked.
        mirror: folder that holds the repositories' files as `<mirror>/<repository>/<file>`, in place of the hub.

    Raises:
        UsageError: the files cannot be had or read, a row is of another form, or rows are missing; one line that names
            the set, where it was looked for, and the mend.
    """
    if name == "knights_knaves":
        puzzles = benchmark()
        return Loaded(puzzles, "generated", len(puzzles))
    one = SETS[name]
    base = f"{mirror}/{one.repository}" if mirror else f"hf://datasets/{one.repository}@{revision or one.revision}"
    loaded = Loaded([], f"{base}/{one.file}")
    where = f"{name}: {loaded.origin}"
    first: dict[str, Problem] = {}
    for number, row in enumerate(tqdm(_rows(one, loaded.origin, where), desc=name, unit=" rows", delay=2)):
        loaded.rows += 1
        normal = _normal(one, row, number, where)
        if isinstance(normal, str):
            loaded.left_out[normal] += 1
            continue
        problem = Problem(normal[0], name, normal[1], normal[2])
        if (same_id := first.setdefault(problem.id, problem)) is problem:
            loaded.problems.append(problem)
        else:
            loaded.left_out["repeated" if same_id == problem else "the id of another problem"] += 1
    if revision is None and loaded.rows != one.rows:
        raise UsageError(f"{where}: {loaded.rows} rows, but {one.rows} at the pinned revision; fetch the file anew")
    return loaded


def evaluation_problems(source: str, mirror: str | Path | None = None) -> Iterator[Problem]:
    """The problems of a named set, or of a file with the columns id and problem, to compare others with.

    Those of a file have no gold answer; their dataset is the row's own `dataset`, or else the file's stem.

    Raises:
        UsageError: neither a set's name nor a file; or the set or the file cannot be read.
    """
    if source in NAMES:
        yield from load_set(source, mirror=mirror).problems
        return
    for number, row in enumerate(iter_rows(source, ["id", "problem"]), start=1):
        problem_id, text = (text_of(row[key], key, f"{source}: row {number}") for key in ("id", "problem"))
        yield Problem(problem_id, str(row.get("dataset") or Path(source).stem), text, "")


def check_source(source: str, key: str) -> None:
    """UsageError, naming `key`, unless `source` is a set's name or a file that is there."""
    if source not in NAMES and not Path(source).is_file():
        near = difflib.get_close_matches(source, NAMES, n=1)
        hint = (
            f"did you mean {near[0]}?" if near else f"give a JSONL, parquet or CSV file, or one of {', '.join(NAMES)}"
        )
        raise UsageError(f"{key}={source}: no such file or set; {hint}")


def _rows(one: ProblemSet, files: str, where: str) -> Iterator[Row]:
    from datasets import load_dataset  # takes a second

    kind = _FORMATS[Path(one.file).suffix]
    # Of wide parquet files these columns alone are fetched; the choice "None" of a CSV is text.
    options = {"parquet": {"columns": list(one.columns)}, "csv": {"keep_default_na": False}}.get(kind, {})
    try:
        yield from load_dataset(kind, data_files=files, split="train", streaming=True, **options)
    except Exception as error:  # of the hub, the network, and each format's reader
        reason = " ".join(str(error).split())[:200]
        hub = "check the network, and HF_TOKEN for a gated set, or give the files in a folder, problems.mirror"
        mend = hub if files.startswith("hf://") else "check the folder and the file"
        raise UsageError(f"{where}: cannot be read ({type(error).__name__}: {reason}); {mend}") from error


def _normal(one: ProblemSet, row: Row, number: int, where: str) -> Normal:
    try:
        normal = one.normal(row, number)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"not of the form that is known ({type(error).__name__}: {error})"
        raise UsageError(f"{where}: row {number + 1}: {what}; it should have {', '.join(one.columns)}") from error
    return normal if isinstance(normal, str) or all(normal) else "no id, problem or gold answer"
