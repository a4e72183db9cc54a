"""Problems with verifiable answers: loaded from files, or generated."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from data_prep.overlap import normal_text
from data_prep.tables import iter_rows, text_of, write_jsonl
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
    """Problems of a .jsonl, .csv or .parquet file, one a row.

    Args:
        dataset: name under which they are reported; by default the row's own `dataset`, or else the file's stem.

    Raises:
        UsageError: names file and row (from 1; in .jsonl the line) where one has no problem, no gold answer that can
            be parsed, or an id that another row has.
    """
    path = Path(path)
    row_of_id: dict[str, int] = {}
    problems: list[Problem] = []
    for number, row in enumerate(iter_rows(path, [id_key, problem_key, gold_key]), start=1):
        where = f"{path}: row {number}"
        problem_id = text_of(row[id_key], id_key, where)
        if (first := row_of_id.setdefault(problem_id, number)) != number:
            raise UsageError(f"{where}: id '{problem_id}' is that of row {first} too; give each problem its own")
        text = text_of(row[problem_key], problem_key, where)
        gold = checked_gold(row[gold_key], gold_key, where)
        problems.append(Problem(problem_id, dataset or str(row.get("dataset") or path.stem), text, gold))
    return problems


def checked_gold(value: object, what: str, where: str) -> str:
    """A gold answer as text that the verifier can parse, else a UsageError."""
    gold = text_of(value, what, where)
    if not parseable(gold):
        raise UsageError(f"{where}: '{what}' cannot be parsed as an answer: {gold[:80]!r}; mend it or drop the row")
    return gold


def write_problems(path: str | Path, problems: Sequence[Problem]) -> None:
    """JSON lines with id, dataset, problem and answer, as `load_problems` reads them."""
    rows = [asdict(problem) for problem in problems]
    write_jsonl(path, [row | {"answer": row.pop("gold")} for row in rows])


def pair_sums(n: int, *, seed: int, numbers: int, largest: int, name: str = "pair_sums") -> list[Problem]:
    """`n` distinct puzzles such as "Which two of 2, 5, 7, 9 add up to 14?", each with one solution.

    A solution is easier to check than to find, so that a vote over tries often fails though one of them is right, and a
    refinement that checks them need not.

    Args:
        numbers: distinct numbers in a puzzle, in rising order.
        largest: they are drawn uniformly from 1 to this one.

    Returns:
        Problems whose gold answer is the pair, "(5, 9)", and whose id is the puzzle, such as "2,5,7,9=14".

    Raises:
        UsageError: settings out of range, or `n` puzzles not found.
    """
    if n < 1 or numbers < 2 or largest < numbers:
        raise UsageError(f"pair sums: {n=}, {numbers=}, {largest=}; n from 1, numbers from 2, largest from numbers")
    rng = random.Random(seed)
    drawn: dict[str, Problem] = {}
    for _ in range(1000 * n):
        listed = sorted(rng.sample(range(1, largest + 1), numbers))
        pair = sorted(rng.sample(listed, 2))
        total = sum(pair)
        if sum(sum(other) == total for other in itertools.combinations(listed, 2)) > 1:
            continue
        text = ", ".join(map(str, listed))
        problem_id = f"{text}={total}".replace(" ", "")
        question = f"Which two of {text} add up to {total}?"
        drawn[problem_id] = Problem(problem_id, name, question, f"({pair[0]}, {pair[1]})")
        if len(drawn) == n:
            return list(drawn.values())
    raise UsageError(f"pair sums: {numbers=}, {largest=} give {len(drawn)} puzzles, not {n}; ask for fewer")


def split_problems(problems: Sequence[Problem], sizes: Mapping[str, int], seed: int) -> dict[str, list[Problem]]:
    """Random splits of the given sizes; no two problems in them, of one split or two, have the same text.

    Texts that differ in spelling alone (`overlap.normal_text`) count as the same; the first of them is kept.

    Raises:
        UsageError: a size below 1, or fewer distinct problems than the sizes ask for.
    """
    distinct: dict[str, Problem] = {}
    for problem in problems:
        distinct.setdefault(normal_text(problem.problem), problem)
    if min(sizes.values(), default=1) < 1 or sum(sizes.values()) > len(distinct):
        raise UsageError(
            f"splits {dict(sizes)}: {len(distinct)} distinct problems; sizes from 1 that they cover, please"
        )
    shuffled = iter(random.Random(seed).sample(list(distinct.values()), len(distinct)))
    return {split: list(itertools.islice(shuffled, size)) for split, size in sizes.items()}
