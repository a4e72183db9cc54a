"""Training rows: RL parquet in the form that verl reads, and SFT parquet with direct and refinement targets."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import pyarrow as pa

from data_prep import pair_sums
from data_prep.extra_info import extra_info, extra_info_type, row_id
from data_prep.problems import checked_gold
from data_prep.tables import Row, iter_rows, text_of, write_parquet
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.prompts import PromptSet, problem_of

_RL_COLUMNS = {
    "data_source": pa.string(),
    "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
    "ability": pa.string(),
    "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
}

RowKind = Literal["direct", "refine"]
_SFT_COLUMNS = ("id", "kind", "prompt", "response")
_SFT_SCHEMA = pa.schema([(column, pa.string()) for column in _SFT_COLUMNS])


def write_rl_rows(
    path: str | Path, problems: Sequence[Problem], pass_rates: Mapping[tuple[str, str], float] = MappingProxyType({})
) -> None:
    """Write one row for each problem. Its prompt is the bare problem; the rollout puts that into its own templates.

    Args:
        problems: `extra_info` is the problem's own, with its id, and its place among `problems` as the index.
        pass_rates: the student's pass rates, by dataset and id. `extra_info.pass_rate` is null for a problem without
            one.

    Raises:
        UsageError: the problems' own `extra_info` cannot be one parquet column.
    """
    infos = [dict(problem.extra_info) for problem in with_extra_info(problems, pass_rates)]
    rows = [
        {
            "data_source": problem.dataset,
            "prompt": [{"role": "user", "content": problem.problem}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.gold},
            "extra_info": info,
        }
        for problem, info in zip(problems, infos, strict=True)
    ]
    write_parquet(path, rows, pa.schema({**_RL_COLUMNS, "extra_info": extra_info_type(infos)}))


def with_extra_info(
    problems: Sequence[Problem], pass_rates: Mapping[tuple[str, str], float] = MappingProxyType({})
) -> list[Problem]:
    """The problems with the `extra_info` that `write_rl_rows` writes: their own, with id, index and pass_rate."""
    return [
        replace(
            problem,
            extra_info={
                **problem.extra_info,
                "id": problem.id,
                "index": index,
                "pass_rate": pass_rates.get((problem.dataset, problem.id)),
            },
        )
        for index, problem in enumerate(problems)
    ]


def read_rl_rows(*paths: str | Path) -> list[Problem]:
    """The problems of verl RL parquets, whoever wrote them. This is the check of such files before a run.

    The problem is the last user message: `problem_of` reads it here and in the rollout. For the id see
    `data_prep.extra_info.row_id`: a row without one gets one.

    Args:
        paths: files that are read together, such as all of `data.val_files`.

    Raises:
        UsageError: a row has no problem, no gold answer that can be parsed, or the id of another problem of its
            dataset, in whichever file. The error names the file and the row, counted from 1. A repeated row is no
            error.
    """
    first: dict[tuple[str, str], tuple[str, Problem]] = {}
    problems: list[Problem] = []
    for path in paths:
        for number, row in iter_rows(_parquet(path), ["data_source", "prompt", "reward_model"]):
            where = f"{path}: row {number}"
            problem = _rl_problem(row, where)
            earlier, same_id = first.setdefault((problem.dataset, problem.id), (where, problem))
            if same_id != problem:
                of = f"row {earlier.rpartition(' ')[2]}" if earlier.startswith(f"{path}: row ") else earlier
                raise UsageError(f"{where}: id '{problem.id}' is that of {of} too; make extra_info.id unique")
            problems.append(problem)
    return problems


def _rl_problem(row: Row, where: str) -> Problem:
    dataset = text_of(row["data_source"], "data_source", where)
    text = text_of(_problem_text(row["prompt"], where), "prompt", where)
    gold = checked_gold(_field(row["reward_model"], "ground_truth"), "reward_model.ground_truth", where)
    given = row.get("extra_info")
    problem_id = row_id(given, dataset, text, gold)
    return Problem(problem_id, dataset, text, gold, extra_info(given, problem_id, None))


def _parquet(path: str | Path) -> Path:
    if Path(path).suffix != ".parquet":
        raise UsageError(f"{path}: not a .parquet file; training rows are parquet")
    return Path(path)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _problem_text(prompt: Any, where: str) -> str:
    try:
        return problem_of(prompt).problem
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


@dataclass(frozen=True)
class SftRow:
    """One target of supervised fine-tuning.

    `id` is the problem's. `prompt` is the user's message before the chat template, `response` the target.
    """

    id: str
    kind: RowKind
    prompt: str
    response: str


class SftInput(NamedTuple):
    """An SFT row that still lacks its target.

    `prompt` is the user's message in the student's templates. `candidates` are the texts that it shows; a direct row
    has none.
    """

    kind: RowKind
    problem: Problem
    prompt: str
    candidates: list[str]


def sft_inputs(problems: Sequence[Problem], episodes: Sequence[Episode], prompts: PromptSet) -> Iterator[SftInput]:
    """The rows that a teacher writes targets for: a direct row for each problem, then a refine row for each episode.

    These are D_direct and D_selfR of GSR (arXiv 2509.00084). No episode is filtered out: candidate sets without any
    right candidate stay, as in the paper.

    Args:
        prompts: the student's templates.

    Raises:
        UsageError: an episode has no candidates. The error names its id.
    """
    for problem in problems:
        yield SftInput("direct", problem, prompts.direct_prompt(problem.problem), [])
    for episode in episodes:
        if not episode.candidates:
            raise UsageError(f"episode '{episode.id}': no candidates to refine; sample some first")
        texts = [candidate.text for candidate in episode.candidates]
        yield SftInput("refine", episode.problem_only, prompts.refine_prompt(episode.problem, texts), texts)


def oracle_rows(
    problems: Sequence[Problem],
    episodes: Sequence[Episode],
    prompts: PromptSet,
    solve: Callable[[Problem], str] = pair_sums.solve,
) -> list[SftRow]:
    """The rows of `sft_inputs`, their targets written by the oracle of the pair sums.

    Args:
        solve: writes the direct solutions.

    Raises:
        UsageError: as `sft_inputs` and `pair_sums.solve`.
    """
    rows: list[SftRow] = []
    for kind, problem, prompt, texts in sft_inputs(problems, episodes, prompts):
        target = solve(problem) if kind == "direct" else pair_sums.refine(problem, texts)
        rows.append(SftRow(problem.id, kind, prompt, target))
    return rows


def mix_by_tokens(
    direct: Sequence[SftRow],
    refine: Sequence[SftRow],
    refine_weight: float,
    count_tokens: Callable[[str], int],
    seed: int,
) -> list[SftRow]:
    """Shuffled rows in which refinement rows hold the share `refine_weight` of all response tokens, to within one row.

    The under-represented kind is kept whole, and the other is subsampled. With a loss averaged over tokens this share
    is the weight of the refinement loss in GSR's joint objective (arXiv 2509.00084, which uses 0.5).

    Args:
        refine_weight: from 0 (only direct rows) to 1 (only refinement rows).
        count_tokens: gives the number of supervised tokens of a response.

    Raises:
        UsageError: the weight is out of range, or a kind that has a share has no rows.
    """
    if not 0 <= refine_weight <= 1:
        raise UsageError(f"refine_weight: {refine_weight} is out of range; give a share from 0 to 1")
    if (refine_weight > 0 and not refine) or (refine_weight < 1 and not direct):
        raise UsageError(f"refine_weight: {refine_weight}, but {len(direct)} direct and {len(refine)} refinement rows")
    rng = random.Random(seed)
    direct_tokens = sum(count_tokens(row.response) for row in direct)
    refine_tokens = sum(count_tokens(row.response) for row in refine)
    # The totals have the wanted proportion if these two products are equal.
    direct_share, refine_share = direct_tokens * refine_weight, refine_tokens * (1 - refine_weight)
    if refine_share > direct_share:
        refine = _subsample(refine, direct_share / (1 - refine_weight), count_tokens, rng)
    elif direct_share > refine_share:
        direct = _subsample(direct, refine_share / refine_weight, count_tokens, rng)
    rows = [*direct, *refine]
    rng.shuffle(rows)
    return rows


def _subsample(
    rows: Sequence[SftRow], tokens: float, count_tokens: Callable[[str], int], rng: random.Random
) -> list[SftRow]:
    """Rows in random order, as many as bring the sum of their response tokens closest to `tokens`."""
    kept: list[SftRow] = []
    left = tokens
    for row in rng.sample(rows, len(rows)):
        length = count_tokens(row.response)
        if length > 2 * left:
            break
        kept.append(row)
        left -= length
    return kept


def write_sft_rows(path: str | Path, rows: Sequence[SftRow]) -> None:
    """Write a parquet file with the string columns id, kind, prompt and response."""
    write_parquet(path, [asdict(row) for row in rows], _SFT_SCHEMA)


def read_sft_rows(path: str | Path) -> list[SftRow]:
    """The rows of an SFT parquet.

    Raises:
        UsageError: a row lacks a text or is of an unknown kind. The error names the file and the row, counted from 1.
    """
    rows: list[SftRow] = []
    for number, row in iter_rows(_parquet(path), _SFT_COLUMNS):
        where = f"{path}: row {number}"
        texts = {column: text_of(row[column], column, where) for column in _SFT_COLUMNS}
        if texts["kind"] not in ("direct", "refine"):
            raise UsageError(f"{where}: kind '{texts['kind']}' is unknown; write 'direct' or 'refine'")
        rows.append(SftRow(texts["id"], cast(RowKind, texts["kind"]), texts["prompt"], texts["response"]))
    return rows
