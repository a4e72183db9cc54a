"""Problem files: loading, errors that name the row, writing; splits."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import load_problems, split_problems, write_problems
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError

TWO = [{"id": "a", "problem": "What is 2 + 3?", "answer": "5"}, {"id": "b", "problem": "Half of 1?", "answer": "1/2"}]


def jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_the_same_rows_load_from_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mini.{suffix}"
    if suffix == "jsonl":
        jsonl(path, TWO)
    elif suffix == "csv":
        pd.DataFrame(TWO).to_csv(path, index=False)
    else:
        pd.DataFrame(TWO).to_parquet(path, index=False)
    assert load_problems(path) == [
        Problem("a", "mini", "What is 2 + 3?", "5"),
        Problem("b", "mini", "Half of 1?", "1/2"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "id,problem,answer\r\na,What is 2 + 3?,5\r\nb,Half of 1?,1/2\r\n\r\n",
        "id,problem,answer\na,What is 2 + 3?,5\n\nb,Half of 1?,1/2\n   \n",
        "\ufeffid,problem,answer\n\ufeffa,What is 2 + 3?,\ufeff5\nb,Half of 1?,1/2\n,,\n\ufeff\n\x1a",
    ],
)
def test_what_editors_leave_in_a_csv_file_is_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mini.csv"
    path.write_bytes(content.encode())
    assert load_problems(path) == [
        Problem("a", "mini", "What is 2 + 3?", "5"),
        Problem("b", "mini", "Half of 1?", "1/2"),
    ]


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ("\frac{1}{2}", "is damaged, the escape"),
        ("\text{yes}", "is damaged, the escape"),
        ("3\times 4", "is damaged, the escape"),
        ("x \neq 2", "is damaged, the escape"),
        (r"\\frac{1}{2}", "is damaged, each backslash stands twice"),
        (r"\\sqrt{2} + \\pi", "is damaged, each backslash stands twice"),
        ("5\0", "holds a NUL"),
        ("5\ud800", "holds half a surrogate pair"),
        (float("nan"), "holds no text"),
    ],
)
def test_golds_that_came_to_harm_are_named(tmp_path: Path, gold: object, said: str) -> None:
    path = jsonl(tmp_path / "bad.jsonl", [TWO[0], {**TWO[1], "answer": gold}])
    with pytest.raises(UsageError) as error:
        load_problems(path)
    assert f"{path}: row 2: 'answer' {said}" in str(error.value)


@pytest.mark.parametrize(
    "gold", [r"\frac{1}{2}", r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\\pi\end{pmatrix}"]
)
def test_golds_that_are_whole_are_read(tmp_path: Path, gold: str) -> None:
    (problem,) = load_problems(jsonl(tmp_path / "x.jsonl", [{**TWO[0], "answer": gold}]))
    assert problem.gold == gold


@pytest.mark.parametrize(("column", "value"), [("problem", "a\0b"), ("id", "\udc00"), ("dataset", "x\ud83d")])
def test_what_is_no_text_is_named(tmp_path: Path, column: str, value: str) -> None:
    path = jsonl(tmp_path / "bad.jsonl", [{**TWO[0], column: value}])
    with pytest.raises(UsageError, match=rf"row 1: '{column}' holds (a NUL|half a surrogate pair)"):
        load_problems(path)


def test_own_columns_numbers_and_dataset_name(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{"no": 7, "question": "What is 2 + 3?", "gold": 5}])
    loaded = load_problems(path, "sums", id_key="no", problem_key="question", gold_key="gold")
    assert loaded == [Problem("7", "sums", "What is 2 + 3?", "5")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([TWO[0], {"id": "b", "problem": "Half of 1?"}], ["row 2", "'answer'"]),
        ([TWO[0], {**TWO[1], "problem": " "}], ["row 2", "'problem'"]),
        ([{**TWO[0], "answer": None}], ["row 1", "'answer'"]),
        ([{**TWO[0], "answer": True}], ["row 1", "'answer'"]),
        ([TWO[0], TWO[1], {**TWO[1], "id": "a"}], ["row 3", "id 'a'", "row 1"]),
        ([], ["no rows"]),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[dict[str, object]], said: list[str]) -> None:
    path = jsonl(tmp_path / "bad.jsonl", rows)
    with pytest.raises(UsageError) as error:
        load_problems(path)
    message = str(error.value)
    assert all(part in message for part in [str(path), *said]) and "\n" not in message


def test_a_gold_answer_that_cannot_be_parsed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_prep.problems.parseable", lambda gold: gold != "??")
    with pytest.raises(UsageError, match=r"row 2: 'answer' cannot be parsed as an answer: '\?\?'"):
        load_problems(jsonl(tmp_path / "bad.jsonl", [TWO[0], {**TWO[1], "answer": "??"}]))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.jsonl", None, "no such file"),
        ("p.txt", b"", "unknown file type"),
        ("p.jsonl", b'{"id": 1, "problem": "1 + 1?", "answer": 2}\n{"id":\n', "p.jsonl:2: not JSON"),
        ("p.jsonl", b"[1]\n", "p.jsonl:1: not an object"),
        ("p.jsonl", b"\xff\xff", "p.jsonl:1: not JSON"),
        ("p.parquet", b"not parquet", "cannot be read"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        load_problems(path)
    message = str(error.value)
    assert str(path) in message and said in message and "\n" not in message


def test_blank_lines_are_skipped_and_rows_are_numbered_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    lines = [json.dumps(TWO[0]), "", "  ", json.dumps(TWO[1]), ""]
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert [problem.id for problem in load_problems(path)] == ["a", "b"]
    path.write_bytes("\r\n".join([*lines, json.dumps(TWO[0])]).encode("utf-8-sig"))
    with pytest.raises(UsageError, match=r"windows\.jsonl: row 6: id 'a' is that of row 1 too"):
        load_problems(path)


ids = st.integers(0, 10**6).map(str)
# U+2028 and the carriage return end a line for str.splitlines, but not in JSON Lines.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    str.strip
) | st.just("a\u2028b\nc\rd")


@given(st.lists(st.tuples(ids, texts), min_size=1, unique_by=lambda pair: pair[0]))
def test_written_problems_load_again(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    problems = [Problem(problem_id, "d", text, "12") for problem_id, text in pairs]
    path = tmp_path_factory.getbasetemp() / "written" / "d.jsonl"
    write_problems(path, problems)
    assert load_problems(path) == problems
    assert list(path.parent.iterdir()) == [path]


@given(st.integers(0, 30), st.integers(1, 15), st.integers(1, 15), st.integers())
def test_splits_are_disjoint_and_of_the_given_sizes(n: int, train: int, test: int, seed: int) -> None:
    # Each text occurs twice, in two spellings: only one of the two problems may be used.
    problems = [
        Problem(f"{i}{k}", "d", text, "1") for i in range(n) for k, text in ((0, f"Ask {i}"), (1, f"ask  {i} "))
    ]
    if train + test > n:
        with pytest.raises(UsageError, match=f"{n} distinct"):
            split_problems(problems, {"train": train, "test": test}, seed)
        return
    splits = split_problems(problems, {"train": train, "test": test}, seed)
    assert {name: len(split) for name, split in splits.items()} == {"train": train, "test": test}
    chosen = [problem.id for split in splits.values() for problem in split]
    assert len(set(chosen)) == len(chosen) and all(problem_id.endswith("0") for problem_id in chosen)
    assert splits == split_problems(problems, {"train": train, "test": test}, seed)
