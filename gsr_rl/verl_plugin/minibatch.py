"""How rows are dealt to ranks and mini-batches. Pure Python."""

from collections.abc import Sequence
from typing import Any


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
