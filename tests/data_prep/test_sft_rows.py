"""SFT data: over-long rows, the split by problem, token statistics."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.rows import RowKind, SftRow, read_sft_rows
from data_prep.sft_rows import describe, statistics_path, token_statistics, validation_path, write_sft_data
from gsr_rl.errors import UsageError


def rows(kind: RowKind, *lengths: tuple[int, int]) -> list[SftRow]:
    return [
        SftRow(f"p{i}", kind, "q" * prompt, f"{i}".ljust(response, "r")) for i, (prompt, response) in enumerate(lengths)
    ]


def count(row: SftRow) -> tuple[int, int]:
    return len(row.prompt), len(row.response)


def write(path: Path, direct: list[SftRow], refine: list[SftRow], **changes: float) -> dict[str, object]:
    settings = {"refine_weight": 0.5, "max_length": 100, "val_share": 0.0, "seed": 1} | changes
    return write_sft_data(path, direct, refine, count, **settings)  # pyright: ignore[reportArgumentType]


def test_over_long_rows_are_dropped_and_counted_before_the_mix(tmp_path: Path) -> None:
    path = tmp_path / "teach" / "train.parquet"
    direct = rows("direct", (10, 10), (50, 50), (50, 51))  # 100 tokens are just short enough
    refine = rows("refine", (90, 20), (40, 60), (1, 100))
    statistics = write(path, direct, refine)
    assert statistics["over_long"] == {"direct": 1, "refine": 2}
    kept = read_sft_rows(path)
    assert {(row.kind, row.id) for row in kept} == {("direct", "p0"), ("direct", "p1"), ("refine", "p1")}
    assert json.loads(statistics_path(path).read_text()) == statistics
    assert "train: 2 direct rows; prompt tokens 30 mean, 50 p95, 50 max, response tokens 30 mean" in describe(
        statistics
    )
    assert describe(statistics).endswith("dropped: 1 direct and 2 refine rows")
    assert sorted(file.name for file in path.parent.iterdir()) == ["train.json", "train.parquet"]


def test_statistics_computed_by_hand() -> None:
    some = rows("direct", *((n, 1) for n in range(1, 21))) + rows("refine", (4, 7))
    figures = token_statistics(
        some, {row: count(row) if row.kind == "refine" else (len(row.prompt), 3) for row in some}
    )
    # Of the numbers from 1 to 20, half do not exceed 10, and 95 % do not exceed 19.
    assert figures["direct"] == {
        "rows": 20,
        "prompt": {"mean": 10.5, "p50": 10, "p95": 19, "max": 20},
        "response": {"mean": 3.0, "p50": 3, "p95": 3, "max": 3},
    }
    assert figures["refine"]["prompt"] == {"mean": 4.0, "p50": 4, "p95": 4, "max": 4}


@given(st.integers(2, 30), st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 5))
def test_a_problem_is_in_training_or_in_validation(
    tmp_path_factory: pytest.TempPathFactory, n: int, share: float, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "split" / "train.parquet"
    direct, refine = rows("direct", *[(5, 5)] * n), rows("refine", *[(5, 5)] * n)
    write(path, direct, refine, val_share=share, seed=seed)
    train = {row.id for row in read_sft_rows(path)}
    validation = read_sft_rows(validation_path(path)) if validation_path(path).exists() else []
    assert len({row.id for row in validation}) == round(share * n) == len(validation) / 2
    assert train.isdisjoint(row.id for row in validation)
    assert len(train) == n - round(share * n)


def test_validation_rows_are_of_the_kinds_that_are_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    direct, refine = rows("direct", *[(5, 5)] * 10), rows("refine", *[(5, 5)] * 10)
    write(path, direct, refine, val_share=0.3)
    assert len(read_sft_rows(validation_path(path))) == 6
    write(path, direct, refine, val_share=0.3, refine_weight=0)
    assert [row.kind for row in read_sft_rows(validation_path(path))] == ["direct"] * 3
    write(path, direct, refine)  # validation rows of an earlier start are deleted
    assert not validation_path(path).exists()


def test_a_kind_without_any_short_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"sft.data.max_length=15: all 2 refine rows are longer; raise it"):
        write(tmp_path / "train.parquet", rows("direct", (5, 5)), rows("refine", (9, 9), (9, 8)), max_length=15)
    assert list(tmp_path.iterdir()) == []
