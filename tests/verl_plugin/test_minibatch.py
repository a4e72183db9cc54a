"""Dealing rows to ranks and mini-batches, against brute force over what verl makes of the order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.verl_plugin.minibatch import deal_rows, rows_to_update, stage_totals

Tags = list[dict[str, Any]]


def tag(stage: str, seq_len: int, is_padding: bool = False) -> dict[str, Any]:
    return {"stage": stage, "seq_len": seq_len} | ({"is_padding": True} if is_padding else {})


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tags, int, int]:
    """Rows of both stages, padded as verl does: by less than one row per cell, with rows like the first."""
    ranks, mini_batches = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    lengths = st.integers(1, 500)
    row = st.builds(tag, st.sampled_from(["candidate", "refinement"]), lengths)
    rows = draw(st.lists(row, min_size=1, max_size=40))
    padding = -len(rows) % (ranks * mini_batches)
    return rows + [tag(rows[0]["stage"], 128, True)] * padding, ranks, mini_batches


def split(order: list[int], ranks: int, mini_batches: int) -> list[list[list[int]]]:
    """[rank][mini-batch] -> rows: each rank has a contiguous share, and in it each mini-batch has one."""
    size = len(order) // (ranks * mini_batches)
    cells = [order[i : i + size] for i in range(0, len(order), size)]
    return [cells[rank * mini_batches : (rank + 1) * mini_batches] for rank in range(ranks)]


def spread(counts: list[int]) -> int:
    return max(counts) - min(counts)


@given(batches())
def test_every_row_is_dealt_once(batch: tuple[Tags, int, int]) -> None:
    tags, ranks, mini_batches = batch
    assert sorted(deal_rows(tags, ranks, mini_batches)) == list(range(len(tags)))


@given(batches())
def test_mini_batches_share_real_rows_stages_and_lengths_evenly(batch: tuple[Tags, int, int]) -> None:
    tags, ranks, mini_batches = batch
    by_rank = split(deal_rows(tags, ranks, mini_batches), ranks, mini_batches)
    minis = [[i for rank in by_rank for i in rank[mini]] for mini in range(mini_batches)]
    assert spread([sum(not tags[i].get("is_padding") for i in mini) for mini in minis]) <= 1
    for stage in ("candidate", "refinement"):
        rows = [[tags[i] for i in mini if not tags[i].get("is_padding")] for mini in minis]
        by_mini = [[row["seq_len"] for row in mini if row["stage"] == stage] for mini in rows]
        assert spread([len(lengths) for lengths in by_mini]) <= 1
        longest = max((length for lengths in by_mini for length in lengths), default=0)
        assert spread([sum(lengths) for lengths in by_mini]) <= longest


@given(batches())
def test_ranks_share_the_rows_of_each_mini_batch_evenly(batch: tuple[Tags, int, int]) -> None:
    tags, ranks, mini_batches = batch
    by_rank = split(deal_rows(tags, ranks, mini_batches), ranks, mini_batches)
    for mini in range(mini_batches):
        assert spread([sum(not tags[i].get("is_padding") for i in rank[mini]) for rank in by_rank]) <= 1


def test_a_batch_worked_out_by_hand() -> None:
    # Sorted: candidates of length 30, 20, 10, refinements of 60, 50, 40, padding. Dealt to four cells in turn.
    tags = [
        tag("refinement", 40),
        tag("candidate", 10),
        tag("candidate", 30),
        tag("refinement", 60),
        tag("candidate", 20),
        tag("refinement", 50),
        tag("candidate", 128, True),
        tag("candidate", 128, True),
    ]
    (first, second) = split(deal_rows(tags, 2, 2), 2, 2)
    lengths = [[[tags[i]["seq_len"] for i in mini] for mini in rank] for rank in (first, second)]
    assert lengths == [[[30, 50], [20, 40]], [[10, 128], [60, 128]]]


def test_stage_totals_are_means_over_the_mini_batches() -> None:
    tags = [{"stage": "candidate"}, {"stage": "refinement"}, {"stage": "candidate"}, {"stage": "candidate"}]
    # The last row is padding.
    assert stage_totals(tags, [3, 5, 4, 0], 2) == ((7 / 2, 2 / 2), (5 / 2, 1 / 2))
    assert stage_totals(tags[:1], [3], 1) == ((3, 1), (0, 0))


@pytest.mark.parametrize(
    ("has_signal", "multiple", "kept"),
    [
        ([True, False, True, False], 2, [0, 2]),
        ([True, False, False, False], 2, [0, 3]),  # the shortest other row makes it two
        ([False, True, True, True], 4, [0, 1, 2, 3]),
        ([False, False, False, False], 2, [2, 3]),  # so that no optimizer step is missing
        ([True, True, True, True], 2, [0, 1, 2, 3]),
    ],
)
def test_rows_with_a_signal_are_updated(has_signal: list[bool], multiple: int, kept: list[int]) -> None:
    assert rows_to_update(has_signal, [9, 8, 7, 6], multiple) == kept
