"""Dealing rows to ranks and mini-batches, against brute force over what verl makes of the order."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from gsr_rl.settings.two_stage import BY_GROUP
from gsr_rl.verl_plugin.minibatch import (
    deal_rows,
    may_have_advantage,
    rows_to_update,
    rows_with_log_probs,
    stage_totals,
)

Keys = list[str]
Tags = list[dict[str, Any]]
Batch = tuple[Keys, Tags, int, int]


def tag(stage: str, seq_len: int, is_padding: bool = False) -> dict[str, Any]:
    return {"stage": stage, "seq_len": seq_len} | ({"is_padding": True} if is_padding else {})


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Rows of both stages, padded as verl does: by less than one row per cell, with rows like the first."""
    ranks, mini_batches = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    lengths = st.integers(1, 500)
    row = st.builds(tag, st.sampled_from(["candidate", "refinement"]), lengths)
    rows = draw(st.lists(row, min_size=1, max_size=40))
    keys = [f"{draw(st.integers(0, 9))}_{i}_0" for i in range(len(rows))]
    padding = -len(rows) % (ranks * mini_batches)
    keys += [f"pad_{i}_0" for i in range(padding)]
    return keys, rows + [tag(rows[0]["stage"], 128, True)] * padding, ranks, mini_batches


def split(order: list[int], ranks: int, mini_batches: int) -> list[list[list[int]]]:
    """[rank][mini-batch] -> rows: each rank has a contiguous share, and in it each mini-batch has one."""
    size = len(order) // (ranks * mini_batches)
    cells = [order[i : i + size] for i in range(0, len(order), size)]
    return [cells[rank * mini_batches : (rank + 1) * mini_batches] for rank in range(ranks)]


def spread(counts: list[int]) -> int:
    return max(counts) - min(counts)


@given(batches())
def test_every_row_is_dealt_once(batch: Batch) -> None:
    assert sorted(deal_rows(*batch)) == list(range(len(batch[0])))


@given(batches())
def test_mini_batches_share_real_rows_and_stages_evenly(batch: Batch) -> None:
    _, tags, ranks, mini_batches = batch
    by_rank = split(deal_rows(*batch), ranks, mini_batches)
    minis = [[i for rank in by_rank for i in rank[mini]] for mini in range(mini_batches)]
    assert spread([sum(not tags[i].get("is_padding") for i in mini) for mini in minis]) <= 1
    for stage in ("candidate", "refinement"):
        rows = [[tags[i] for i in mini if not tags[i].get("is_padding")] for mini in minis]
        assert spread([sum(row["stage"] == stage for row in mini) for mini in rows]) <= 1


@given(batches())
def test_ranks_share_the_rows_of_each_mini_batch_evenly(batch: Batch) -> None:
    _, tags, ranks, mini_batches = batch
    by_rank = split(deal_rows(*batch), ranks, mini_batches)
    for mini in range(mini_batches):
        assert spread([sum(not tags[i].get("is_padding") for i in rank[mini]) for rank in by_rank]) <= 1


@given(batches())
def test_groups_are_cut_only_where_no_cell_has_room(batch: Batch) -> None:
    keys, tags, ranks, mini_batches = batch
    cells = [cell for rank in split(deal_rows(*batch), ranks, mini_batches) for cell in rank]
    for stage in ("candidate", "refinement"):
        of_stage = [i for i, tag in enumerate(tags) if tag["stage"] == stage and not tag.get("is_padding")]
        pieces = [{keys[i].split("_")[0] for i in cell if i in set(of_stage)} for cell in cells]
        n_groups = len({keys[i].split("_")[0] for i in of_stage})
        # A group is cut when no cell has room for all of it, and each cut fills a cell.
        assert sum(map(len, pieces)) - n_groups < len(cells)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.data())
def test_groups_of_one_size_stay_whole_and_share_tokens_evenly(
    ranks: int, mini_batches: int, per_cell: int, size: int, data: st.DataObject
) -> None:
    cells = ranks * mini_batches
    lengths = data.draw(st.lists(st.integers(1, 500), min_size=cells * per_cell, max_size=cells * per_cell))
    keys = [f"{group}_{i}_0" for group in range(len(lengths)) for i in range(size)]
    tags = [tag("candidate", length) for length in lengths for _ in range(size)]
    dealt = split(deal_rows(keys, tags, ranks, mini_batches), ranks, mini_batches)
    by_cell = [[int(keys[i].split("_")[0]) for i in cell] for rank in dealt for cell in rank]
    assert all(set(Counter(groups).values()) == {size} for groups in by_cell)
    assert spread([sum(lengths[group] for group in groups) for groups in by_cell]) <= size * max(lengths)


def test_a_batch_worked_out_by_hand() -> None:
    # Four cells of two rows. Each kind is dealt from where the kind before it ended: the candidates of prompts a and b
    # have room for one row in the first three cells, the refinements in the last cell and in the first two.
    rows = [
        ("a", tag("refinement", 60)),
        ("a", tag("candidate", 10)),
        ("b", tag("candidate", 20)),
        ("b", tag("candidate", 15)),
        ("b", tag("refinement", 40)),
        ("a", tag("refinement", 50)),
        ("pad", tag("candidate", 128, True)),
        ("pad", tag("candidate", 128, True)),
    ]
    keys = [f"{prompt}_{i}_0" for i, (prompt, _) in enumerate(rows)]
    (first, second) = split(deal_rows(keys, [tag for _, tag in rows], 2, 2), 2, 2)
    lengths = [[[rows[i][1]["seq_len"] for i in mini] for mini in rank] for rank in (first, second)]
    assert lengths == [[[20, 60], [15, 50]], [[10, 128], [40, 128]]]


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


def test_equal_rewards_leave_a_group_without_an_advantage() -> None:
    rows = [("a_0_0", "candidate", 1.0), ("a_1_0", "candidate", 0.0), ("a_2_0", "refinement", 1.0)]
    rows += [("b_0_0", "candidate", 0.5), ("b_1_0", "candidate", 0.5), ("b_2_0", "refinement", 0.0)]
    keys = [*(key for key, _, _ in rows), "pad_0_0"]
    tags = [*({"stage": stage, "reward": reward} for _, stage, reward in rows), {"stage": "refinement"}]
    tags[-1]["is_padding"] = True
    # A lone refinement's advantage is its reward.
    assert may_have_advantage(keys, tags) == [True, True, True, False, False, True, False]


@pytest.mark.parametrize("name", BY_GROUP)
@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.1, 1.0]), st.integers(1, 4)), min_size=1))
def test_verl_s_estimators_need_no_other_rows(name: str, rows: list[tuple[int, float, int]]) -> None:
    """Advantages of the flagged rows are the same without the others, whose own are 0 but for rounding."""
    keys = [f"{group}_{i}_0" for i, (group, _, _) in enumerate(rows)]
    flags = may_have_advantage(keys, [{"stage": "candidate", "reward": reward} for _, reward, _ in rows])

    def advantages(part: list[tuple[int, float, int]]) -> torch.Tensor:
        mask = torch.tensor([[float(i < length) for i in range(4)] for _, _, length in part])
        scores = torch.zeros_like(mask)
        for i, (_, reward, length) in enumerate(part):
            scores[i, length - 1] = reward
        index = np.array([str(group) for group, _, _ in part], dtype=object)
        estimate: Any = get_adv_estimator_fn(name)
        return estimate(scores, mask, index=index, config=OmegaConf.create({"norm_adv_by_std_in_grpo": True}))[0]

    whole = advantages(rows)
    # verl divides by the deviation plus 1e-6, so a mean that is rounded by 1e-8 leaves some 0.01.
    assert (whole[[not flag for flag in flags]].abs() < 0.02).all()
    if any(flags):
        part = advantages([row for row, flag in zip(rows, flags, strict=True) if flag])
        assert torch.allclose(part, whole[flags], atol=1e-5)


@pytest.mark.parametrize(
    ("flags", "multiple", "at_least", "kept"),
    [
        ([0, 1, 0, 1, 0, 0], 2, 0, [1, 3]),
        ([0, 1, 0, 0, 0, 0], 2, 0, [0, 1]),  # filled to a multiple with the first other
        ([0, 1, 0, 0, 0, 0], 2, 3, [0, 1, 2, 3]),  # three for the guard, and one more
        ([0, 0, 0, 0, 0, 0], 3, 16, [0, 1, 2, 3, 4, 5]),  # there are no more
        ([1, 1, 1, 1, 1, 1], 3, 2, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_rows_of_the_log_prob_pass(flags: list[int], multiple: int, at_least: int, kept: list[int]) -> None:
    assert rows_with_log_probs([bool(flag) for flag in flags], multiple, at_least) == kept
