"""SFT rows made ready for training: over-long rows dropped, split by problem, mixed by λ; with token statistics."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_prep.rows import SftRow, mix_by_tokens, write_sft_rows
from gsr_rl.errors import UsageError
from gsr_rl.files import write_json

Lengths = Mapping[SftRow, tuple[int, int]]  # numbers of tokens in prompt and response


def validation_path(path: str | Path) -> Path:
    """The file in which `write_sft_data` puts the validation rows that belong to the training rows in `path`."""
    return Path(path).with_name(f"{Path(path).stem}_val.parquet")


def statistics_path(path: str | Path) -> Path:
    """The file in which `write_sft_data` puts the statistics of the rows in `path`."""
    return Path(path).with_suffix(".json")


def write_sft_data(
    path: str | Path,
    direct: Sequence[SftRow],
    refine: Sequence[SftRow],
    count_tokens: Callable[[SftRow], tuple[int, int]],
    *,
    refine_weight: float,
    max_length: int,
    val_share: float,
    seed: int,
) -> dict[str, Any]:
    """Write training rows to `path`, and validation rows and statistics beside it.

    All rows of a problem go to the same side. The training rows are mixed by `refine_weight` (`mix_by_tokens`). The
    validation rows are all rows of their problems, of the kinds that are trained on.

    Args:
        count_tokens: gives the numbers of tokens of a row's prompt and response, as the trainer sees them.
        max_length: rows with more tokens, prompt and response together, are dropped and counted.
        val_share: share of the problems to validate on, from 0 (no validation rows) to below 1.

    Returns:
        The statistics that are written to `statistics_path(path)`: numbers of rows, and mean, p50, p95 and maximum of
        their tokens.

    Raises:
        UsageError: all rows of a kind that has a weight are too long, or see `mix_by_tokens`.
    """
    wanted = [*(direct if refine_weight < 1 else ()), *(refine if refine_weight > 0 else ())]
    lengths = {row: count_tokens(row) for row in tqdm(wanted, desc="sft rows", unit=" rows", delay=2)}
    short = [row for row in wanted if sum(lengths[row]) <= max_length]
    over_long = {kind: _count(wanted, kind) - _count(short, kind) for kind in ("direct", "refine")}
    for kind, dropped in over_long.items():
        if dropped and not _count(short, kind):
            raise UsageError(f"sft.data.max_length={max_length}: all {dropped} {kind} rows are longer; raise it")
    held_out = _validation_ids(short, val_share, seed)
    train = [row for row in short if row.id not in held_out]
    responses = {row.response: lengths[row][1] for row in train}
    by_kind = {kind: [row for row in train if row.kind == kind] for kind in ("direct", "refine")}
    mixed = mix_by_tokens(by_kind["direct"], by_kind["refine"], refine_weight, responses.__getitem__, seed)
    validation = [row for row in short if row.id in held_out]
    statistics = {
        "over_long": over_long,
        "train": token_statistics(mixed, lengths),
        "validation": token_statistics(validation, lengths),
    }
    if validation:
        write_sft_rows(validation_path(path), validation)
    else:
        validation_path(path).unlink(missing_ok=True)
    write_json(statistics_path(path), statistics)
    write_sft_rows(path, mixed)  # last: if this file exists, the others are complete
    return statistics


def token_statistics(rows: Sequence[SftRow], lengths: Lengths) -> dict[str, dict[str, Any]]:
    """For each kind, the number of rows, and mean, p50, p95 and maximum of their tokens.

    p50 is the smallest number of tokens that half of the rows do not exceed.
    """
    figures: dict[str, dict[str, Any]] = {}
    for kind in sorted({row.kind for row in rows}):
        tokens = [lengths[row] for row in rows if row.kind == kind]
        prompts, responses = zip(*tokens, strict=True)
        figures[kind] = {"rows": len(tokens), "prompt": _spread(prompts), "response": _spread(responses)}
    return figures


def describe(statistics: Mapping[str, Any]) -> str:
    """The statistics of `write_sft_data` as lines of text."""
    lines = []
    for part in ("train", "validation"):
        for kind, stats in statistics[part].items():
            tokens = ", ".join(
                f"{name} tokens {stats[name]['mean']:.0f} mean, {stats[name]['p95']} p95, {stats[name]['max']} max"
                for name in ("prompt", "response")
            )
            lines.append(f"{part}: {stats['rows']} {kind} rows; {tokens}")
    dropped = " and ".join(f"{n} {kind}" for kind, n in statistics["over_long"].items())
    return "\n".join([*lines, f"longer than sft.data.max_length and dropped: {dropped} rows"])


def _count(rows: Sequence[SftRow], kind: str) -> int:
    return sum(row.kind == kind for row in rows)


def _validation_ids(rows: Sequence[SftRow], share: float, seed: int) -> set[str]:
    ids = sorted({row.id for row in rows})
    return set(random.Random(seed).sample(ids, round(share * len(ids))))


def _spread(tokens: Sequence[int]) -> dict[str, float | int]:
    p50, p95 = np.percentile(tokens, [50, 95], method="inverted_cdf").tolist()
    return {"mean": sum(tokens) / len(tokens), "p50": p50, "p95": p95, "max": max(tokens)}
