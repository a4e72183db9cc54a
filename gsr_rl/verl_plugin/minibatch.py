"""Which rows an update takes, and how they are dealt to ranks and mini-batches. Pure Python."""

from collections.abc import Sequence
from typing import Any

from gsr_rl.metrics.logged import STAGES

Totals = tuple[tuple[float, float], ...]


def stage_totals(tags: Sequence[dict[str, Any]], tokens: Sequence[int], mini_batches: int) -> Totals:
    """Tokens, and rows with a token, of candidates and of refinements that a mini-batch has on average.

    Args:
        tags: one per row of the whole step.
        tokens: the row's response tokens that count; none in padding.
    """
    by_stage = [[n for n, tag in zip(tokens, tags, strict=True) if tag["stage"] == stage] for stage in STAGES]
    return tuple((sum(own) / mini_batches, sum(n > 0 for n in own) / mini_batches) for own in by_stage)


def rows_to_update(has_signal: Sequence[bool], lengths: Sequence[int], multiple: int) -> list[int]:
    """The rows with a signal, and as many of the shortest others as make their number a multiple above 0.

    Args:
        has_signal, lengths: one per row; their number is a multiple of `multiple`.
    """
    silent = sorted((i for i, signal in enumerate(has_signal) if not signal), key=lambda i: lengths[i])
    with_signal = len(has_signal) - len(silent)
    filling = -with_signal % multiple if with_signal else multiple
    left_out = set(silent[filling:])
    return [i for i in range(len(has_signal)) if i not in left_out]


def deal_rows(tags: Sequence[dict[str, Any]], ranks: int, mini_batches: int) -> list[int]:
    """An order of the rows in which each rank's contiguous share splits into equal contiguous mini-batches.

    Rows are sorted (padding last, stage, longest first) and dealt in turn: mini-batches differ by at most one row
    in real rows and in rows of each stage, and in length by no more than the longest row of each stage.

    Args:
        tags: one per row; their number is a multiple of ranks * mini_batches.
    """

    def sort_key(i: int) -> tuple[bool, str, int]:
        return bool(tags[i].get("is_padding")), str(tags[i]["stage"]), -int(tags[i]["seq_len"])

    cells: list[list[int]] = [[] for _ in range(ranks * mini_batches)]
    for position, i in enumerate(sorted(range(len(tags)), key=sort_key)):
        cells[position % len(cells)].append(i)
    # Cell by cell is rank by rank, and each rank's mini-batches in turn: neighbours go to different mini-batches.
    return [i for cell in cells for i in cell]
