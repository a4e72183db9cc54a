"""Named problem sets, read by `datasets` from the Hugging Face hub or from a folder that holds the same files."""

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from data_prep.knights import benchmark
from data_prep.problems import dataset_of
from data_prep.sets import SETS, ParsedRow, ProblemSet
from data_prep.tables import Row, iter_rows, text_of
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError

NAMES = (*SETS, "knights_knaves")
_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}


@dataclass
class Loaded:
    """The problems of a set, where they come from, and how many rows were left out, by reason."""

    problems: list[Problem]
    origin: str
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def load_set(name: str, *, revision: str | None = None, mirror: str | Path | None = None) -> Loaded:
    """Load a set by its name: a set of `data_prep.sets`, or the generated benchmark `knights_knaves`.

    A row that repeats another one is left out, and so is a row with the id of another problem.

    Args:
        revision: commit of the repository to read instead of the pinned one. The number of rows is then not checked.
        mirror: folder that holds the repositories' files as `<mirror>/<repository>/<file>`, read instead of the hub.

    Raises:
        UsageError: the files cannot be fetched or read, a row has an unexpected form, or rows are missing. The error
            names the set, where it was looked for, and what to do.
    """
    if name == "knights_knaves":
        puzzles = benchmark()
        return Loaded(puzzles, "generated", len(puzzles))
    problem_set = SETS[name]
    repository = problem_set.repository
    base = f"{mirror}/{repository}" if mirror else f"hf://datasets/{repository}@{revision or problem_set.revision}"
    loaded = Loaded([], f"{base}/{problem_set.file}")
    where = f"{name}: {loaded.origin}"
    first_with_id: dict[str, Problem] = {}
    for number, row in enumerate(tqdm(_rows(problem_set, loaded.origin, where), desc=name, unit=" rows", delay=2)):
        loaded.rows += 1
        parsed = _parsed(problem_set, row, number, where)
        if isinstance(parsed, str):
            loaded.left_out[parsed] += 1
            continue
        problem_id, text, gold = parsed
        problem = Problem(problem_id, name, text, gold)
        first = first_with_id.setdefault(problem_id, problem)
        if first is problem:
            loaded.problems.append(problem)
        else:
            loaded.left_out["repeated" if first == problem else "the id of another problem"] += 1
    if revision is None and loaded.rows != problem_set.rows:
        expected = f"{problem_set.rows} at the pinned revision"
        raise UsageError(f"{where}: {loaded.rows} rows, but {expected}; fetch the file again")
    return loaded


def evaluation_problems(source: str, mirror: str | Path | None = None) -> Iterator[Problem]:
    """The evaluation problems that training problems are compared with.

    Problems of a file have no gold answer. Their dataset is the row's own `dataset`, or else the file's stem.

    Args:
        source: name of a set, or a file with the columns id and problem.
        mirror: as in `load_set`.

    Raises:
        UsageError: `source` is neither a set's name nor a file, or the set or file cannot be read.
    """
    if source in NAMES:
        yield from load_set(source, mirror=mirror).problems
        return
    for number, row in iter_rows(source, ["id", "problem"]):
        where = f"{source}: row {number}"
        problem_id, text = (text_of(row[key], key, where) for key in ("id", "problem"))
        yield Problem(problem_id, dataset_of(row, Path(source), where), text, "")


def check_source(source: str, key: str) -> None:
    """Check that `source` is a set's name or an existing file.

    Raises:
        UsageError: it is neither. The error names `key`, the setting that holds `source`.
    """
    if source not in NAMES and not Path(source).is_file():
        near = difflib.get_close_matches(source, NAMES, n=1)
        hint = (
            f"did you mean {near[0]}?" if near else f"give a JSONL, parquet or CSV file, or one of {', '.join(NAMES)}"
        )
        raise UsageError(f"{key}={source}: no such file or set; {hint}")


def _rows(problem_set: ProblemSet, files: str, where: str) -> Iterator[Row]:
    from datasets import load_dataset  # takes a second

    kind = _FORMATS[Path(problem_set.file).suffix]
    # Parquet files are wide, so only the needed columns are fetched. In a CSV file the choice "None" is a text.
    options = {"parquet": {"columns": list(problem_set.columns)}, "csv": {"keep_default_na": False}}.get(kind, {})
    try:
        yield from load_dataset(kind, data_files=files, split="train", streaming=True, **options)
    except Exception as error:  # the hub, the network and each format's reader raise their own
        reason = " ".join(str(error).split())[:200]
        hub = "check the network, and HF_TOKEN for a gated set, or give the files in a folder, problems.mirror"
        hint = hub if files.startswith("hf://") else "check the folder and the file"
        raise UsageError(f"{where}: cannot be read ({type(error).__name__}: {reason}); {hint}") from error


def _parsed(problem_set: ProblemSet, row: Row, number: int, where: str) -> ParsedRow:
    try:
        parsed = problem_set.parse(row, number)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"unexpected form ({type(error).__name__}: {error})"
        raise UsageError(
            f"{where}: row {number + 1}: {what}; it should have {', '.join(problem_set.columns)}"
        ) from error
    return parsed if isinstance(parsed, str) or all(parsed) else "no id, problem or gold answer"
