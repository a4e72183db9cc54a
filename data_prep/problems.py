"""Problems with verifiable answers: loaded from files, written to files, and split."""

import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.damage import damage
from data_prep.extra_info import extra_info, is_there
from data_prep.overlap import normal_text
from data_prep.tables import Row, iter_rows, text_of, write_jsonl
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from rewards.answers import parseable


def load_problems(
    path: str | Path,
    dataset: str | None = None,
    *,
    id_key: str = "id",
    problem_key: str = "problem",
    gold_key: str = "answer",
) -> list[Problem]:
    """Load problems from a .jsonl, .csv or .parquet file with one problem a row.

    Args:
        dataset: name of the problems' dataset. The default is the row's own `dataset`, or else the file's stem.

    Returns:
        The problems. `extra_info` is the row's column of that name, with the id, and the row's place as the index.

    Raises:
        UsageError: a row has no problem, no gold answer that can be parsed, or the id of another row. The error names
            the file and the row, counted from 1; in a .jsonl file that is the line.
    """
    path = Path(path)
    row_of_id: dict[str, int] = {}
    problems: list[Problem] = []
    for number, row in iter_rows(path, [id_key, problem_key, gold_key]):
        where = f"{path}: row {number}"
        problem_id = text_of(row[id_key], id_key, where)
        if (first := row_of_id.setdefault(problem_id, number)) != number:
            raise UsageError(f"{where}: id '{problem_id}' is that of row {first} too; give each problem its own id")
        text = text_of(row[problem_key], problem_key, where)
        gold = checked_gold(row[gold_key], gold_key, where)
        info = extra_info(row.get("extra_info"), problem_id, len(problems))
        problems.append(Problem(problem_id, dataset or dataset_of(row, path, where), text, gold, info))
    return problems


def dataset_of(row: Row, path: Path, where: str) -> str:
    """The row's own `dataset`, or else the stem of its file's name.

    Raises:
        UsageError: the row's own is no text.
    """
    own = row.get("dataset")
    return text_of(own, "dataset", where) if is_there(own) else path.stem


def checked_gold(value: object, column: str, where: str) -> str:
    """The gold answer in a cell, as text.

    Raises:
        UsageError: the cell holds no text, or damaged LaTeX, or the verifier cannot parse it. The error names `where`
            (file and row) and `column`.
    """
    gold = text_of(value, column, where)
    if found := damage(gold):
        raise UsageError(f"{where}: '{column}' is damaged, {found}: {gold[:80]!r}; write it anew or drop the row")
    if not parseable(gold):
        raise UsageError(f"{where}: '{column}' cannot be parsed as an answer: {gold[:80]!r}; fix it or drop the row")
    return gold


def write_problems(path: str | Path, problems: Sequence[Problem]) -> None:
    """Write problems as JSON Lines with id, dataset, problem and answer, which `load_problems` reads.

    A problem that has `extra_info` has it in the file too.
    """
    write_jsonl(path, map(_row, problems))


def _row(problem: Problem) -> Row:
    row = {"id": problem.id, "dataset": problem.dataset, "problem": problem.problem, "answer": problem.gold}
    return row | {"extra_info": dict(problem.extra_info)} if problem.extra_info else row


def split_problems(problems: Sequence[Problem], sizes: Mapping[str, int], seed: int) -> dict[str, list[Problem]]:
    """Draw random splits of the given sizes. No two problems have the same text, within a split or across splits.

    Texts that differ only in spelling (`overlap.normal_text`) count as the same. The first of such problems is kept.

    Raises:
        UsageError: a size is below 1, or there are fewer distinct problems than the sizes add up to.
    """
    distinct: dict[str, Problem] = {}
    for problem in problems:
        distinct.setdefault(normal_text(problem.problem), problem)
    if min(sizes.values(), default=1) < 1 or sum(sizes.values()) > len(distinct):
        raise UsageError(
            f"splits {dict(sizes)}: {len(distinct)} distinct problems; each size must be at least 1, and all together "
            "at most the number of problems"
        )
    shuffled = iter(random.Random(seed).sample(list(distinct.values()), len(distinct)))
    return {split: list(itertools.islice(shuffled, size)) for split, size in sizes.items()}
