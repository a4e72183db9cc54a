"""How rows are packed so that a prompt which several rows share is computed once. Pure Python.

A group is the rows of one prompt. It is packed as [prompt, response 1, ..., response n]. The positions of each response
go on after the prompt, which is how attention tells the parts apart (`gsr_rl.cpu.attention`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Group = list[int]
MicroBatch = list[Group]


@dataclass(frozen=True)
class Row:
    """A row of token ids. Its log-probs are asked for at `labels` alone."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """Positions in the row, ascending and above 0; at least one position."""

    @classmethod
    def of(cls, ids: Iterable[int], loss_mask: Sequence[int]) -> "Row":
        """A row whose labels are the tokens in the loss. Without such a token, the last token is its label.

        Args:
            loss_mask: one flag for each of the row's last tokens: verl's RL rows have flags for the response alone.
        """
        ids = tuple(ids)
        start = len(ids) - len(loss_mask)
        labels = tuple(start + i for i, flag in enumerate(loss_mask) if flag and start + i > 0)
        return cls(ids, labels or (len(ids) - 1,))

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens before the first label."""
        return self.ids[: self.labels[0]]

    @property
    def response_len(self) -> int:
        """Number of tokens from the first label on."""
        return len(self.ids) - self.labels[0]


@dataclass(frozen=True)
class Packed:
    """Packed rows, as indices into the concatenation of the rows' own tokens ("flat") and into the packed tokens."""

    tokens: list[int]
    """Flat index of each packed token."""
    positions: list[int]
    """Position of each packed token in its row."""
    predictors: list[int]
    """Packed index of the token that predicts a label, row by row."""
    at: list[int]
    """Flat index of the token that predicts a label, row by row: there verl expects the label's log-prob."""
    counts: list[int]
    """Number of labels, one number per row."""


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Indices of the rows of each prompt, in order of first appearance."""
    groups: dict[tuple[int, ...], Group] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.prompt, []).append(i)
    return list(groups.values())


def packed_tokens(rows: Sequence[Row], group: Group) -> int:
    """Tokens of a group with its prompt once."""
    return rows[group[0]].labels[0] + sum(rows[i].response_len for i in group)


def pack(rows: Sequence[Row]) -> Packed:
    """Pack all rows, group by group."""
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row.ids))
    tokens: list[int] = []
    positions: list[int] = []
    by_row: dict[int, list[int]] = {}
    for group in groups_of(rows):
        prompt_at, prompt_len = len(tokens), rows[group[0]].labels[0]
        tokens += range(starts[group[0]], starts[group[0]] + prompt_len)
        positions += range(prompt_len)
        for i in group:
            response_at, row = len(tokens), rows[i]
            tokens += range(starts[i] + prompt_len, starts[i + 1])
            positions += range(prompt_len, len(row.ids))
            # The prompt's last token predicts the first label.
            rest = [response_at + label - 1 - prompt_len for label in row.labels[1:]]
            by_row[i] = [prompt_at + prompt_len - 1, *rest]
    return Packed(
        tokens=tokens,
        positions=positions,
        predictors=[index for i in range(len(rows)) for index in by_row[i]],
        at=[starts[i] + label - 1 for i, row in enumerate(rows) for label in row.labels],
        counts=[len(row.labels) for row in rows],
    )


def micro_batches(rows: Sequence[Row], budget: int) -> tuple[list[MicroBatch], int]:
    """Micro-batches of whole groups, each of at most `budget` packed tokens.

    A group above the budget is split, with its prompt again in each part. The parts go, largest first, into the first
    micro-batch that has room.

    Returns:
        The micro-batches, and how many groups were split.

    Raises:
        ValueError: a row is longer than the budget.
    """
    parts: list[Group] = []
    groups = groups_of(rows)
    for group in groups:
        parts += _parts(rows, group, budget)
    batches: list[MicroBatch] = []
    room: list[int] = []
    for part in sorted(parts, key=lambda part: -packed_tokens(rows, part)):
        size = packed_tokens(rows, part)
        place = next((i for i, left in enumerate(room) if left >= size), None)
        if place is None:
            place = len(batches)
            batches.append([])
            room.append(budget)
        batches[place].append(part)
        room[place] -= size
    return batches, len({rows[part[0]].prompt for part in parts if part not in groups})


def _parts(rows: Sequence[Row], group: Group, budget: int) -> list[Group]:
    parts: list[Group] = [[]]
    for i in group:
        if len(rows[i].ids) > budget:
            raise ValueError(f"a row of {len(rows[i].ids)} tokens does not fit into a micro-batch of {budget}")
        if parts[-1] and packed_tokens(rows, [*parts[-1], i]) > budget:
            parts.append([])
        parts[-1].append(i)
    return parts


def at_least(batches: Sequence[MicroBatch], count: int) -> list[MicroBatch]:
    """The micro-batches, halved until there are `count`: every rank has to have the same number.

    Args:
        count: at most the number of rows.
    """
    batches = list(batches)
    while len(batches) < count:
        largest = max(range(len(batches)), key=lambda i: sum(map(len, batches[i])))
        batch = batches.pop(largest)
        if len(batch) == 1:  # a group alone is split, with its prompt again
            batch = [[i] for i in batch[0]]
            half = len(batch) // 2
            batches += [[[i for part in half_ for i in part]] for half_ in (batch[:half], batch[half:])]
        else:
            half = len(batch) // 2
            batches += [batch[:half], batch[half:]]
    return batches
