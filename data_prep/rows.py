"""Training rows: RL parquet as verl reads it, and SFT parquet with direct and refinement targets."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import pyarrow as pa

from data_prep.oracle import Teacher
from data_prep.problems import checked_gold
from data_prep.tables import read_rows, text_of, write_parquet
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.prompts import PromptSet

_RL_SCHEMA = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        "ability": pa.string(),
        "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
        "extra_info": pa.struct({"id": pa.string(), "index": pa.int64(), "pass_rate": pa.float64()}),
    }
)

Kind = Literal["direct", "refine"]
_SFT_COLUMNS = ("id", "kind", "prompt", "response")
_SFT_SCHEMA = pa.schema([(column, pa.string()) for column in _SFT_COLUMNS])


def write_rl_rows(
    path: str | Path, problems: Sequence[Problem], pass_rates: Mapping[tuple[str, str], float] = MappingProxyType({})
) -> None:
    """One row a problem; its prompt is the bare problem, which the rollout puts into its own templates.

    `pass_rates` are the student's, by dataset and id; `extra_info.pass_rate` is null where it was not sampled.
    """
    rows = [
        {
            "data_source": problem.dataset,
            "prompt": [{"role": "user", "content": problem.problem}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.gold},
            "extra_info": {
                "id": problem.id,
                "index": index,
                "pass_rate": pass_rates.get((problem.dataset, problem.id)),
            },
        }
        for index, problem in enumerate(problems)
    ]
    write_parquet(path, rows, _RL_SCHEMA)


def read_rl_rows(path: str | Path) -> list[Problem]:
    """The problems of a verl RL parquet, ours or another: a check of the file before a run.

    The problem is the last user message; the id is `extra_info.id`, else `extra_info.index`, else the row's number.

    Raises:
        UsageError: names file and row (from 1) where one has no problem, no gold answer that can be parsed, or the
            id of another problem of its dataset. A repeated row is none.
    """
    first: dict[tuple[str, str], tuple[int, Problem]] = {}
    problems: list[Problem] = []
    for number, row in enumerate(read_rows(_parquet(path), ["data_source", "prompt", "reward_model"]), start=1):
        where = f"{path}: row {number}"
        problem = Problem(
            id=_rl_id(row.get("extra_info"), number),
            dataset=text_of(row["data_source"], "data_source", where),
            problem=text_of(_last_user_message(row["prompt"]), "prompt", where),
            gold=checked_gold(_field(row["reward_model"], "ground_truth"), "reward_model.ground_truth", where),
        )
        earlier, same_id = first.setdefault((problem.dataset, problem.id), (number, problem))
        if same_id != problem:
            raise UsageError(f"{where}: id '{problem.id}' is that of row {earlier} too; set extra_info.id apart")
        problems.append(problem)
    return problems


def _parquet(path: str | Path) -> Path:
    if Path(path).suffix != ".parquet":
        raise UsageError(f"{path}: not a .parquet file; training rows are parquet")
    return Path(path)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _rl_id(extra_info: Any, number: int) -> str:
    candidates = (_field(extra_info, "id"), _field(extra_info, "index"), number)
    return next(str(value) for value in candidates if value not in (None, ""))


def _last_user_message(prompt: Any) -> Any:
    messages = prompt if isinstance(prompt, list) else []
    user = [_field(message, "content") for message in messages if _field(message, "role") == "user"]
    return user[-1] if user else None


@dataclass(frozen=True)
class SftRow:
    """One target of supervised fine-tuning. `prompt` is the user's message, before the chat template."""

    id: str
    kind: Kind
    prompt: str
    response: str


def direct_rows(problems: Sequence[Problem], teacher: Teacher, prompts: PromptSet) -> list[SftRow]:
    """D_direct of GSR (arXiv 2509.00084): one row a problem, its target the teacher's own solution."""
    return [SftRow(one.id, "direct", prompts.direct_prompt(one.problem), teacher.solve(one)) for one in problems]


def refine_rows(episodes: Sequence[Episode], teacher: Teacher, prompts: PromptSet) -> list[SftRow]:
    """D_selfR: one row a candidate set, its target the teacher's refinement of the candidates as they are shown.

    Nothing is filtered out: sets in which no candidate is right stay, as in the paper.
    """
    rows = []
    for episode in episodes:
        if not episode.candidates:
            raise UsageError(f"episode '{episode.id}': no candidates to refine; sample some first")
        problem = Problem(episode.id, episode.dataset, episode.problem, episode.gold)
        texts = [candidate.text for candidate in episode.candidates]
        target = teacher.refine(problem, texts)
        rows.append(SftRow(episode.id, "refine", prompts.refine_prompt(episode.problem, texts), target))
    return rows


def mix_by_tokens(
    direct: Sequence[SftRow],
    refine: Sequence[SftRow],
    refine_weight: float,
    count_tokens: Callable[[str], int],
    seed: int,
) -> list[SftRow]:
    """Shuffled rows in which refinement holds the share `refine_weight` of response tokens, to within one row.

    The kind that is under-represented is kept whole, the other is subsampled. With a loss averaged over tokens this
    share is the weight of the refinement loss in GSR's joint objective (arXiv 2509.00084; 0.5 there).

    Args:
        refine_weight: from 0 (direct rows alone) to 1 (refinement rows alone).
        count_tokens: number of supervised tokens of a response.

    Raises:
        UsageError: a weight out of range, or a kind with a share has no rows.
    """
    if not 0 <= refine_weight <= 1:
        raise UsageError(f"refine_weight: {refine_weight} is out of range; give a share from 0 to 1")
    if (refine_weight > 0 and not refine) or (refine_weight < 1 and not direct):
        raise UsageError(f"refine_weight: {refine_weight}, but {len(direct)} direct and {len(refine)} refinement rows")
    rng = random.Random(seed)
    direct_tokens = sum(count_tokens(row.response) for row in direct)
    refine_tokens = sum(count_tokens(row.response) for row in refine)
    # The two totals stand in the proportion asked for where these products are equal.
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
    """Rows in random order, as many as bring their response tokens closest to `tokens`."""
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
    """Parquet with the string columns id, kind, prompt and response."""
    write_parquet(path, [asdict(row) for row in rows], _SFT_SCHEMA)


def read_sft_rows(path: str | Path) -> list[SftRow]:
    """The rows of an SFT parquet.

    Raises:
        UsageError: names file and row (from 1) where one lacks a text or is of an unknown kind.
    """
    rows: list[SftRow] = []
    for number, row in enumerate(read_rows(_parquet(path), _SFT_COLUMNS), start=1):
        where = f"{path}: row {number}"
        texts = {column: text_of(row[column], column, where) for column in _SFT_COLUMNS}
        if texts["kind"] not in ("direct", "refine"):
            raise UsageError(f"{where}: kind '{texts['kind']}' is unknown; write 'direct' or 'refine'")
        rows.append(SftRow(texts["id"], cast(Kind, texts["kind"]), texts["prompt"], texts["response"]))
    return rows
