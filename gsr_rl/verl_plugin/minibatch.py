"""Which rows an update takes, and how they are dealt to ranks and mini-batches. Pure Python."""

from collections.abc import Sequence
from typing import Any

from gsr_rl.metrics.logged import STAGES

Totals = tuple[tuple[float, float], ...]


def stage_totals(tags: Sequence[dict[str, Any]], tokens: Sequence[int], mini_batches: int) -> Totals:
    """Mean number of response tokens, and of rows with such tokens, that a mini-batch has of each stage.

    Args:
        tags: one per row of the whole step, over all ranks.
        tokens: response tokens in the loss, one number per row; 0 for padding.
        mini_batches: mini-batches of the step.

    Returns:
        ((tokens, rows) of candidates, (tokens, rows) of refinements).
    """
    by_stage = [[n for n, tag in zip(tokens, tags, strict=True) if tag["stage"] == stage] for stage in STAGES]
    return tuple((sum(own) / mini_batches, sum(n > 0 for n in own) / mini_batches) for own in by_stage)


def rows_to_update(has_signal: Sequence[bool], lengths: Sequence[int], multiple: int) -> list[int]:
    """Rows of an update: those with a signal, filled up with the shortest others to a multiple of `multiple` above 0.

    Args:
        has_signal: whether the loss has a gradient in the row, one per row.
        lengths: tokens of prompt and response, one number per row.
        multiple: divides the number of rows that are given, and the number that is returned.

    Returns:
        Indices of rows, ascending.
    """
    silent = sorted((i for i, signal in enumerate(has_signal) if not signal), key=lambda i: lengths[i])
    with_signal = len(has_signal) - len(silent)
    filling = -with_signal % multiple if with_signal else multiple
    left_out = set(silent[filling:])
    return [i for i in range(len(has_signal)) if i not in left_out]


def deal_rows(tags: Sequence[dict[str, Any]], ranks: int, mini_batches: int) -> list[int]:
    """An order of the rows in which each rank's contiguous share splits into equal contiguous mini-batches.

    Rows are sorted (real rows before padding, then by stage, then longest first) and dealt in turn. Two mini-batches
    then differ by at most one real row, by at most one row of each stage, and in each stage's tokens by no more than
    that stage's longest row.

    Args:
        tags: one per row, with `stage`, `seq_len` (tokens) and, in padding, `is_padding`. Their number is a multiple of
            ranks * mini_batches.

    Returns:
        Indices of all rows, a permutation.
    """

    def sort_key(i: int) -> tuple[bool, str, int]:
        return bool(tags[i].get("is_padding")), str(tags[i]["stage"]), -int(tags[i]["seq_len"])

    cells: list[list[int]] = [[] for _ in range(ranks * mini_batches)]
    for position, i in enumerate(sorted(range(len(tags)), key=sort_key)):
        cells[position % len(cells)].append(i)
    # The cells are in order of ranks, and within a rank in order of mini-batches. Rows that are neighbours when sorted
    # have gone to different cells.
    return [i for cell in cells for i in cell]
