"""Packing rows with shared prompts, against brute force over what each packed token may see."""

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gsr_rl.verl_plugin.packing import MicroBatch, Row, at_least, groups_of, micro_batches, pack, packed_tokens


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of few prompts out of few tokens, in any order; loss masks over the response or the row, perhaps empty."""
    tokens = st.integers(0, 3)
    prompts = draw(st.lists(st.lists(tokens, min_size=1, max_size=5), min_size=1, max_size=4))
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        prompt = draw(st.sampled_from(prompts))
        response = draw(st.lists(tokens, min_size=1, max_size=6))
        mask = draw(st.lists(st.integers(0, 1), min_size=len(response), max_size=len(response)))
        whole_row = draw(st.booleans())
        rows.append(Row.of(prompt + response, [0] * len(prompt) + mask if whole_row else mask))
    return rows


def seen_by(positions: list[int], at: int) -> list[int]:
    """Packed indices that a token attends to, itself included, by the rule that attention goes by."""
    start = max(i for i in range(at + 1) if i == 0 or positions[i] != positions[i - 1] + 1)
    row_start = max(i for i in range(at + 1) if positions[i] == 0)
    return [*range(row_start, row_start + positions[start]), *range(start, at + 1)]


@given(some_rows())
def test_each_label_is_predicted_from_the_tokens_before_it_in_its_row(rows: list[Row]) -> None:
    packed = pack(rows)
    flat = [token for row in rows for token in row.ids]
    labels = iter(zip(packed.predictors, packed.at, strict=True))
    start = 0
    for row, count in zip(rows, packed.counts, strict=True):
        assert count == len(row.labels)
        for label in row.labels:
            predictor, at = next(labels)
            seen = seen_by(packed.positions, predictor)
            assert [flat[packed.tokens[i]] for i in seen] == list(row.ids[:label])
            assert [packed.positions[i] for i in seen] == list(range(label))
            assert at == start + label - 1  # where verl looks for the log-prob of token `label`
        start += len(row.ids)
    assert next(labels, None) is None


@given(some_rows())
def test_each_prompt_is_packed_once(rows: list[Row]) -> None:
    prompts = {row.prompt for row in rows}
    wanted = sum(map(len, prompts)) + sum(len(row.ids) - len(row.prompt) for row in rows)
    assert len(pack(rows).tokens) == wanted == sum(packed_tokens(rows, group) for group in groups_of(rows))


def check_micro_batches(rows: list[Row], batches: list[MicroBatch], budget: int) -> None:
    dealt = [i for batch in batches for group in batch for i in group]
    assert sorted(dealt) == list(range(len(rows)))
    for batch in batches:
        assert 0 < sum(packed_tokens(rows, group) for group in batch) <= budget
        assert all(len({rows[i].prompt for i in group}) == 1 for group in batch)


@given(some_rows(), st.integers(2, 40))
def test_groups_stay_whole_unless_they_are_above_the_budget(rows: list[Row], budget: int) -> None:
    assume(max(len(row.ids) for row in rows) <= budget)
    batches, n_split = micro_batches(rows, budget)
    check_micro_batches(rows, batches, budget)
    parts = Counter(rows[group[0]].prompt for batch in batches for group in batch)
    too_long = {rows[group[0]].prompt for group in groups_of(rows) if packed_tokens(rows, group) > budget}
    assert {prompt for prompt, count in parts.items() if count > 1} == too_long
    assert n_split == len(too_long)
    # No micro-batch would have fitted into an earlier one, so at most one of them is not half full.
    sizes = [sum(packed_tokens(rows, group) for group in batch) for batch in batches]
    assert sum(2 * size <= budget for size in sizes) <= 1


@given(some_rows(), st.integers(2, 40), st.data())
def test_ranks_can_have_any_number_of_micro_batches_up_to_their_rows(
    rows: list[Row], budget: int, data: st.DataObject
) -> None:
    assume(max(len(row.ids) for row in rows) <= budget)
    batches, _ = micro_batches(rows, budget)
    count = data.draw(st.integers(1, len(rows)))
    more = at_least(batches, count)
    assert len(more) == max(len(batches), count)
    check_micro_batches(rows, more, budget)


def test_a_group_worked_out_by_hand() -> None:
    rows = [Row.of([7, 8, 1, 2], [1, 1]), Row.of([9, 5], [1]), Row.of([7, 8, 3, 4, 6], [1, 0, 1])]
    packed = pack(rows)
    # 7 8 | 1 2 | 3 4 6, then 9 | 5
    assert packed.tokens == [0, 1, 2, 3, 8, 9, 10, 4, 5]
    assert packed.positions == [0, 1, 2, 3, 2, 3, 4, 0, 1]
    # 8 predicts 1, 1 predicts 2; 9 predicts 5; 8 predicts 3, 4 predicts 6.
    assert packed.predictors == [1, 2, 7, 1, 5]
    assert packed.at == [1, 2, 4, 7, 9]
    assert packed.counts == [2, 1, 2]
    assert micro_batches(rows, 9) == ([[[0, 2], [1]]], 0)
    assert micro_batches(rows, 8) == ([[[0, 2]], [[1]]], 0)
    assert micro_batches(rows, 6) == ([[[2]], [[0], [1]]], 1)
    with pytest.raises(ValueError, match="a row of 5 tokens does not fit into a micro-batch of 4"):
        micro_batches(rows, 4)


def test_a_row_without_tokens_in_the_loss_keeps_its_last_token() -> None:
    assert Row.of([1, 2, 3], [0]).labels == (2,)
    assert Row.of([1, 2, 3], [1, 0, 1]).labels == (2,)  # nothing predicts a row's first token
