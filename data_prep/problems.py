"""Problems with verifiable answers: loaded from files, or generated."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from data_prep.tables import read_rows, text_of, write_jsonl
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
    for number, row in enumerate(read_rows(path, [id_key, problem_key, gold_key]), start=1):
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


def arithmetic_problems(
    n: int, *, seed: int, terms: tuple[int, int] = (3, 3), digits: tuple[int, int] = (1, 1), name: str = "arithmetic"
) -> list[Problem]:
    """`n` distinct sums and differences such as "What is 7 + 5 - 3?", from reasoning-gym's `chain_sum`.

    Args:
        terms: least and greatest number of terms.
        digits: least and greatest number of digits of a term; within one problem all terms have equally many.

    Returns:
        Problems whose id is the expression, so that equal problems have equal ids whatever the seed.

    Raises:
        UsageError: fewer than `n` distinct problems exist.
    """
    if not (n >= 1 and 2 <= terms[0] <= terms[1] and 1 <= digits[0] <= digits[1]):
        raise UsageError(
            f"arithmetic problems: {n=}, {terms=}, {digits=}; n from 1, terms from 2, digits from 1, rising"
        )
    if n > (distinct := _distinct_sums(terms, digits)):
        raise UsageError(f"arithmetic problems: {n=}, but {terms=} and {digits=} give only {distinct}; ask for fewer")

    from reasoning_gym.arithmetic.chain_sum import ChainSumConfig, ChainSumDataset

    # chain_sum seeds its item i with seed + i: neighbouring seeds would give nearly the same problems.
    stream_seed = random.Random(seed).getrandbits(48)
    sums = ChainSumDataset(
        ChainSumConfig(
            min_terms=terms[0], max_terms=terms[1], min_digits=digits[0], max_digits=digits[1], seed=stream_seed
        )
    )
    drawn: dict[str, Problem] = {}
    for index in itertools.count():
        item = sums[index]
        expression = item["metadata"]["expression"]
        problem_id = expression.replace(" ", "")
        drawn[problem_id] = Problem(problem_id, name, f"What is {expression}?", item["answer"])
        if len(drawn) == n:
            return list(drawn.values())
    raise AssertionError("unreachable")


def _distinct_sums(terms: tuple[int, int], digits: tuple[int, int]) -> int:
    def values(n_digits: int) -> int:
        return 10 if n_digits == 1 else 9 * 10 ** (n_digits - 1)

    sizes = itertools.product(range(terms[0], terms[1] + 1), range(digits[0], digits[1] + 1))
    return sum(values(n_digits) ** n_terms * 2 ** (n_terms - 1) for n_terms, n_digits in sizes)


def split_problems(problems: Sequence[Problem], sizes: Mapping[str, int], seed: int) -> dict[str, list[Problem]]:
    """Random splits of the given sizes; no two problems in them, of one split or two, have the same text.

    Texts that differ in white space or case alone count as the same; the first of them is kept.

    Raises:
        UsageError: a size below 1, or fewer distinct problems than the sizes ask for.
    """
    distinct: dict[str, Problem] = {}
    for problem in problems:
        distinct.setdefault(" ".join(problem.problem.split()).casefold(), problem)
    if min(sizes.values(), default=1) < 1 or sum(sizes.values()) > len(distinct):
        raise UsageError(
            f"splits {dict(sizes)}: {len(distinct)} distinct problems; sizes from 1 that they cover, please"
        )
    shuffled = iter(random.Random(seed).sample(list(distinct.values()), len(distinct)))
    return {split: list(itertools.islice(shuffled, size)) for split, size in sizes.items()}
