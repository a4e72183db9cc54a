"""Training rows: RL parquet, SFT rows by the oracle, the mix by tokens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.extra_info import rollout_problem
from data_prep.problems import load_problems, write_problems
from data_prep.rows import (
    SftRow,
    mix_by_tokens,
    oracle_rows,
    read_rl_rows,
    read_sft_rows,
    with_extra_info,
    write_rl_rows,
    write_sft_rows,
)
from gsr_rl.episode import Episode, Problem, Response
from gsr_rl.errors import UsageError
from gsr_rl.prompts import PromptSet

PROBLEMS = [
    Problem("7,5,4=12", "pairs", "Which two of 7, 5, 4 add up to 12?", "(7, 5)"),
    Problem("9,4=13", "pairs", "Which two of 9, 4 add up to 13?", "(9, 4)"),
]


def test_rl_rows_have_the_columns_of_verl_and_read_back(tmp_path: Path) -> None:
    write_rl_rows(tmp_path / "train.parquet", PROBLEMS)
    assert read_rl_rows(tmp_path / "train.parquet") == PROBLEMS
    row = pd.read_parquet(tmp_path / "train.parquet").iloc[1].to_dict()
    assert [dict(message) for message in row.pop("prompt")] == [
        {"role": "user", "content": "Which two of 9, 4 add up to 13?"}
    ]
    assert row == {
        "data_source": "pairs",
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "(9, 4)"},
        "extra_info": {"id": "9,4=13", "index": 1, "pass_rate": None},
    }


def rl_row(**changes: Any) -> dict[str, Any]:
    row = {
        "data_source": "gsm8k",
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 1 + 1?"}],
        "reward_model": {"style": "rule", "ground_truth": "2"},
        "extra_info": {"index": 0, "split": "train"},
    }
    return row | changes


def parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pd.DataFrame(list(rows)).to_parquet(path, index=False)
    return path


def test_rows_without_our_id_get_the_best_id_that_they_have(tmp_path: Path) -> None:
    rows = [rl_row(), rl_row(extra_info={"index": None}), rl_row(extra_info={"id": "x", "index": 4})]
    ids = [problem.id for problem in read_rl_rows(parquet(tmp_path / "a.parquet", rows))]
    assert (ids[0], ids[2]) == ("0", "x")
    without = [{key: value for key, value in rl_row().items() if key != "extra_info"}]
    (made,) = read_rl_rows(parquet(tmp_path / "b.parquet", without))
    assert made == Problem(ids[1], "gsm8k", "What is 1 + 1?", "2")  # made of the content, so it is the same everywhere


def asking(n: int, **changes: Any) -> dict[str, Any]:
    prompt = [{"role": "user", "content": f"What is {n} + 1?"}]
    return rl_row(prompt=prompt, reward_model={"style": "rule", "ground_truth": str(n + 1)}, **changes)


@pytest.mark.parametrize("extra_info", [None, {"index": None}, {"index": None, "id": None}, {"split": "test"}])
def test_rows_without_any_id_are_problems_of_their_own(tmp_path: Path, extra_info: Any) -> None:
    path = parquet(tmp_path / "a.parquet", [asking(n, extra_info=extra_info) for n in range(20)])
    problems = read_rl_rows(path)
    assert len({problem.id for problem in problems}) == 20
    rollout = [
        rollout_problem({**row, "raw_prompt": row["prompt"], "index": 0}) for row in pq.read_table(path).to_pylist()
    ]
    assert rollout == problems  # and the validation in training gives them the same ids
    assert [problem.extra_info["id"] for problem in rollout] == [problem.id for problem in problems]


def test_ids_are_unique_over_all_files_that_are_read_together(tmp_path: Path) -> None:
    first = parquet(tmp_path / "first.parquet", [asking(1, extra_info={"index": 0})])
    second = parquet(tmp_path / "second.parquet", [asking(2, extra_info={"index": 1}), asking(3)])
    said = rf"second\.parquet: row 2: id '0' is that of {first}: row 1 too; make extra_info\.id unique"
    with pytest.raises(UsageError, match=said):
        read_rl_rows(first, second)
    made = [
        parquet(tmp_path / f"{name}.parquet", [asking(n, extra_info=None)]) for name, n in (("third", 1), ("fourth", 2))
    ]
    assert len({problem.id for problem in read_rl_rows(*made)}) == 2


def test_what_a_problem_s_row_says_besides_goes_along(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "problem": "P?", "answer": "1", "extra_info": {"level": 3, "tests": ["x"]}},
        {"id": "b", "problem": "Q?", "answer": "2"},
    ]
    source = tmp_path / "mine.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = with_extra_info(load_problems(source), {("mine", "a"): 0.25})
    own = {"level": 3, "tests": ["x"], "id": "a", "index": 0, "pass_rate": 0.25}
    other = {"id": "b", "index": 1, "pass_rate": None}
    write_problems(tmp_path / "train.jsonl", problems)
    assert [problem.extra_info for problem in load_problems(tmp_path / "train.jsonl")] == [own, other]
    write_rl_rows(tmp_path / "train.parquet", problems, {("mine", "a"): 0.25})
    assert read_rl_rows(tmp_path / "train.parquet") == problems
    infos = [problem.extra_info for problem in read_rl_rows(tmp_path / "train.parquet")]
    assert infos == [own, {**other, "level": None, "tests": None}]


def test_values_that_no_column_holds_together_are_named(tmp_path: Path) -> None:
    problems = [Problem(str(n), "d", "P", "1", {"level": level}) for n, level in enumerate([3, "hard"])]
    with pytest.raises(UsageError, match=r"extra_info\.level: .*; give all rows values of one kind there"):
        write_rl_rows(tmp_path / "a.parquet", problems)


def test_a_repeated_row_is_no_error(tmp_path: Path) -> None:
    assert len(read_rl_rows(parquet(tmp_path / "a.parquet", [rl_row(), rl_row()]))) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": []}, "'prompt'"),
        ({"prompt": [{"role": "assistant", "content": "2"}]}, "'prompt'"),
        ({"prompt": [{"role": "user", "content": " "}]}, "'prompt'"),
        ({"data_source": None}, "'data_source'"),
        ({"reward_model": {"ground_truth": None}}, "'reward_model.ground_truth'"),
        ({"reward_model": None}, "'reward_model.ground_truth'"),
        ({"reward_model": {"ground_truth": "3"}}, "id '0' is that of row 1 too"),
    ],
)
def test_bad_rl_rows_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = parquet(tmp_path / "bad.parquet", [rl_row(), rl_row(**changes)])
    with pytest.raises(UsageError) as error:
        read_rl_rows(path)
    assert f"{path}: row 2: " in str(error.value) and said in str(error.value)


def test_bad_rl_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    empty = tmp_path / "empty.parquet"
    write_rl_rows(empty, [])
    column = parquet(tmp_path / "column.parquet", [{"prompt": [], "data_source": "x"}])
    for path, said in [
        (tmp_path / "absent.parquet", "no such file"),
        (tmp_path / "broken.parquet", "cannot be read"),
        (tmp_path / "rows.jsonl", "not a .parquet file"),
        (empty, "no rows"),
        (column, "no column 'reward_model'"),
    ]:
        with pytest.raises(UsageError) as error:
            read_rl_rows(path)
        assert str(path) in str(error.value) and said in str(error.value)


def episode(problem: Problem, *texts: str) -> Episode:
    candidates = tuple(Response(text, answer=None, correct=False) for text in texts)
    return Episode(problem.id, problem.dataset, problem.problem, problem.gold, candidates)


def test_one_direct_row_a_problem_and_one_refine_row_an_episode() -> None:
    episodes = [
        episode(PROBLEMS[0], "\\boxed{(7, 4)}", "hm"),
        episode(PROBLEMS[0], "\\boxed{(7, 5)}"),
        episode(PROBLEMS[1], "?"),
    ]
    prompts = PromptSet(direct="Q: {problem}", refine="Q: {problem}\n{candidates}", candidate="{index}) {text}")
    rows = oracle_rows(PROBLEMS[:2], episodes, prompts)
    direct, refine = rows[:2], rows[2:]
    assert direct == [
        SftRow("7,5,4=12", "direct", "Q: Which two of 7, 5, 4 add up to 12?", "12 - 7 = 5\n\\boxed{(7, 5)}"),
        SftRow("9,4=13", "direct", "Q: Which two of 9, 4 add up to 13?", "13 - 9 = 4\n\\boxed{(9, 4)}"),
    ]
    assert [row.id for row in refine] == ["7,5,4=12", "7,5,4=12", "9,4=13"]
    assert refine[0].kind == "refine"
    assert "1) \\boxed{(7, 4)}" in refine[0].prompt and "2) hm" in refine[0].prompt
    assert refine[0].response == ("Solution 1: 7 + 4 = 11, not 12.\nSolution 2: no pair.\n12 - 7 = 5\n\\boxed{(7, 5)}")


def test_an_episode_without_candidates_is_refused() -> None:
    with pytest.raises(UsageError, match="episode '7,5,4=12': no candidates"):
        oracle_rows([], [episode(PROBLEMS[0])], PromptSet())


def rows_of(kind: Any, lengths: Sequence[int]) -> list[SftRow]:
    return [SftRow(f"{kind}{i}", kind, "p", "x" * length) for i, length in enumerate(lengths)]


def tokens(rows: Sequence[SftRow], kind: str) -> int:
    return sum(len(row.response) for row in rows if row.kind == kind)


def test_the_mix_has_the_given_shares() -> None:
    # 100 direct and 600 refinement tokens: 10 of the 60 refinement rows stay at 0.5, and 30 at 0.75.
    direct, refine = rows_of("direct", [5] * 20), rows_of("refine", [10] * 60)
    for weight, kept in [(0.5, (20, 10)), (0.75, (20, 30)), (0.0, (20, 0)), (1.0, (0, 60))]:
        mixed = mix_by_tokens(direct, refine, weight, len, seed=1)
        assert (sum(row.kind == "direct" for row in mixed), sum(row.kind == "refine" for row in mixed)) == kept
    # At 0.96 there are too many direct rows: 600 tokens are 0.96 of 625, so 25 direct tokens stay.
    assert tokens(mix_by_tokens(direct, refine, 0.96, len, seed=1), "direct") == 25


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=30),
    st.lists(st.integers(1, 30), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
    st.integers(),
)
def test_the_share_holds_to_within_one_row(d: list[int], r: list[int], weight: float, seed: int) -> None:
    direct, refine = rows_of("direct", d), rows_of("refine", r)
    mixed = mix_by_tokens(direct, refine, weight, len, seed)
    assert len(set(mixed)) == len(mixed) and set(mixed) <= {*direct, *refine}
    assert tokens(mixed, "direct") == sum(d) or tokens(mixed, "refine") == sum(r)
    if tokens(mixed, "direct") == sum(d):
        off = abs(tokens(mixed, "refine") - sum(d) * weight / (1 - weight))
    else:
        off = abs(tokens(mixed, "direct") - sum(r) * (1 - weight) / weight)
    if len(mixed) < len(d) + len(r):
        assert off <= max(d + r)
    assert mixed == mix_by_tokens(direct, refine, weight, len, seed)


@pytest.mark.parametrize(("n_direct", "n_refine", "weight"), [(1, 1, 1.5), (1, 1, -0.1), (0, 1, 0.5), (1, 0, 1.0)])
def test_impossible_mixes_are_refused(n_direct: int, n_refine: int, weight: float) -> None:
    with pytest.raises(UsageError, match="refine_weight"):
        mix_by_tokens(rows_of("direct", [1] * n_direct), rows_of("refine", [1] * n_refine), weight, len, seed=0)


def test_sft_rows_read_back(tmp_path: Path) -> None:
    rows = [SftRow("a", "direct", "p\n", "r"), SftRow("a", "refine", "q", "s")]
    write_sft_rows(tmp_path / "sft.parquet", rows)
    assert read_sft_rows(tmp_path / "sft.parquet") == rows


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"kind": "both"}, "kind 'both'"), ({"response": ""}, "'response'"), ({"prompt": None}, "'prompt'")],
)
def test_bad_sft_rows_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    row = {"id": "a", "kind": "direct", "prompt": "p", "response": "r"}
    path = parquet(tmp_path / "sft.parquet", [row, row | changes])
    with pytest.raises(UsageError) as error:
        read_sft_rows(path)
    assert f"{path}: row 2: " in str(error.value) and said in str(error.value)
