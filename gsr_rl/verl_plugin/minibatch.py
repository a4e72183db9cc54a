"""Which rows a step computes, and how they are dealt to ranks and mini-batches. Pure Python."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gsr_rl.metrics.logged import STAGES, prompt_of

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


def may_have_advantage(keys: Sequence[str], tags: Sequence[dict[str, Any]]) -> list[bool]:
    """Whether a row may have an advantage other than 0, under an estimator whose baseline is of the row's group.

    The rows of a prompt and stage are a group. Equal rewards in a group leave it without an advantage. In a group of
    one row, verl's estimators take the reward itself.

    Args:
        keys: of the rows; `{prompt}_{row}_0`.
        tags: one per row, with `stage` and `reward` or, in padding, `is_padding`.

    Returns:
        One flag per row; False for padding.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, (key, tag) in enumerate(zip(keys, tags, strict=True)):
        if not tag.get("is_padding"):
            groups[prompt_of(key), tag["stage"]].append(i)
    flags = [False] * len(keys)
    for group in groups.values():
        rewards = {tags[i]["reward"] for i in group}
        for i in group:
            flags[i] = len(rewards) > 1 or len(group) == 1
    return flags


def rows_with_log_probs(flags: Sequence[bool], multiple: int, at_least: int) -> list[int]:
    """Rows of the log-prob pass: the flagged, and the first others, up to `at_least` rows and to a multiple.

    Args:
        flags: of `may_have_advantage`.
        multiple: divides the number of flags, and the number of rows that is returned.
        at_least: number of rows that the sync guard compares, if there are so many.

    Returns:
        Indices of rows, ascending.
    """
    flagged = sum(flags)
    wanted = max(flagged, at_least)
    filling = min(wanted + -wanted % multiple, len(flags)) - flagged
    others = [i for i, flag in enumerate(flags) if not flag][:filling]
    return sorted([i for i, flag in enumerate(flags) if flag] + others)


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


def deal_rows(keys: Sequence[str], tags: Sequence[dict[str, Any]], ranks: int, mini_batches: int) -> list[int]:
    """An order of the rows in which each rank's contiguous share splits into equal contiguous mini-batches.

    Two mini-batches differ by at most one real row, and by at most one row of each stage. Within that, the rows of a
    prompt and stage stay together, as they share a prompt to compute; and the longest groups are dealt first, each to
    the mini-batch with the fewest tokens of its stage.

    Args:
        keys: of the rows; `{prompt}_{row}_0`.
        tags: one per row, with `stage`, `seq_len` (tokens) and, in padding, `is_padding`. Their number is a multiple of
            ranks * mini_batches.

    Returns:
        Indices of all rows, a permutation.
    """
    groups: dict[tuple[bool, str], dict[str, list[int]]] = {}  # by kind of row, then by prompt
    for i, tag in enumerate(tags):
        kind = groups.setdefault((bool(tag.get("is_padding")), str(tag["stage"])), {})
        kind.setdefault(prompt_of(keys[i]), []).append(i)
    # The cells are in order of ranks, and within a rank in order of mini-batches.
    cells: list[list[int]] = [[] for _ in range(ranks * mini_batches)]
    dealt = 0
    for _, kind in sorted(groups.items()):
        n_rows = sum(map(len, kind.values()))
        # As many rows for each cell as if single rows were dealt in turn.
        room = [len(range((cell - dealt) % len(cells), n_rows, len(cells))) for cell in range(len(cells))]
        _deal_groups(list(kind.values()), [int(tag["seq_len"]) for tag in tags], cells, room)
        dealt += n_rows
    return [i for cell in cells for i in cell]


def _deal_groups(groups: list[list[int]], lengths: Sequence[int], cells: list[list[int]], room: list[int]) -> None:
    """Add the groups to the cells: whole where a cell has room, else cut over the cells with the most room."""

    def size(group: list[int]) -> int:
        return sum(lengths[i] for i in group)

    tokens = [0] * len(cells)
    for group in sorted(groups, key=size, reverse=True):
        while group:
            wide = [cell for cell, left in enumerate(room) if left >= len(group)]
            cell = min(wide, key=lambda cell: tokens[cell]) if wide else room.index(max(room))
            part, group = group[: room[cell]], group[room[cell] :]
            cells[cell] += part
            room[cell] -= len(part)
            tokens[cell] += size(part)
