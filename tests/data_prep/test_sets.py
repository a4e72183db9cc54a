"""Named sets: rows in the forms of the hub, in real files that `datasets` reads. The texts are ours."""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_prep.hub import Loaded, evaluation_problems, load_set
from data_prep.sets import SETS, multiple_choice
from gsr_rl.errors import UsageError

Row = dict[str, Any]
Mirror = Callable[[str, Sequence[Row]], Path]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Write a set's file into a folder that stands in for the hub, and expect as many rows as it has."""

    def write(name: str, rows: Sequence[Row]) -> Path:
        problem_set = SETS[name]
        path = tmp_path / problem_set.repository / problem_set.file.replace("*", "00000-of-00001")
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(list(rows))
        if path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        elif path.suffix == ".csv":
            frame.to_csv(path, index=False)
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text(json.dumps(rows, indent=1))
        monkeypatch.setitem(SETS, name, dataclasses.replace(problem_set, rows=len(rows)))
        return tmp_path

    return write


def read(loaded: Loaded) -> list[tuple[str, str, str]]:
    return [(problem.id, problem.problem, problem.gold) for problem in loaded.problems]


def wiki(page: str) -> str:
    return f"https://artofproblemsolving.com/wiki/index.php/{page}"


GSM8K = "Each has <<2*500=1000>>1000 parts.\nSo 2 * 500 = 1,000.\n#### "
DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n{}\n\n"
    'Remember to put your answer on its own line after "Answer:".'
)


FOUND = "has_answer_extracted"


def dapo(index: str, problem: str, gold: str) -> Row:
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": DAPO.format(problem), "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": gold, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": index},
    }


@pytest.mark.parametrize(
    ("name", "rows", "expected", "left_out"),
    [
        (
            "aime24",
            [
                {"id": 60, "problem": " 2 + 2? ", "answer": "004", "url": wiki("2024_AIME_I_Problems/Problem_1")},
                {"id": 61, "problem": "Half of 0?", "answer": "000", "url": wiki("2024_AIME_II_Problems/Problem_1")},
            ],
            [("2024_AIME_I_Problems/Problem_1", "2 + 2?", "4"), ("2024_AIME_II_Problems/Problem_1", "Half of 0?", "0")],
            {},
        ),
        ("aime25", [{"problem": "1 + 1?", "answer": "2", "id": "0"}], [("0", "1 + 1?", "2")], {}),
        (  # ids start again with each year
            "amc2223",
            [
                {"id": 0, "problem": "142?", "answer": 142.0, "url": wiki("2022_AMC_12A_Problems/Problem_1")},
                {"id": 0, "problem": "-3?", "answer": -3.0, "url": wiki("2023_AMC_12A_Problems/Problem_1")},
            ],
            [("2022_AMC_12A_Problems/Problem_1", "142?", "142"), ("2023_AMC_12A_Problems/Problem_1", "-3?", "-3")],
            {},
        ),
        (
            "math500",
            [{"problem": "P", "solution": "s", "answer": r"\frac{1}{2}", "level": 2, "unique_id": "test/a/1.json"}],
            [("test/a/1.json", "P", r"\frac{1}{2}")],
            {},
        ),
        (
            "olympiadbench",
            [
                {"id": 1606, "question": "Q", "final_answer": ["$2$"], "is_multiple_answer": False},
                {"id": 1607, "question": "R", "final_answer": ["$(1,2)$", "3"], "is_multiple_answer": True},
                {"id": 1608, "question": "S", "final_answer": None, "is_multiple_answer": False},
            ],
            [("1606", "Q", "2"), ("1607", "R", "(1,2), 3")],
            {"no id, problem or gold answer": 1},
        ),
        (
            "openmathreasoning",
            [
                {"problem": "P", "expected_answer": "1", "problem_type": FOUND, "generated_solution": "a"},
                {"problem": "Q", "expected_answer": "x", "problem_type": "converted_proof", "generated_solution": "b"},
                {"problem": "P", "expected_answer": "1", "problem_type": FOUND, "generated_solution": "c"},
                {"problem": "P", "expected_answer": "2", "problem_type": FOUND, "generated_solution": "d"},
            ],
            [("24c9b0e1", "P", "1"), ("...", "P", "2")],
            {"problem_type converted_proof": 1, "repeated": 1},
        ),
        (
            "dapo_math_17k",
            [*(dapo("u-1", "What is\n\n$1+1$?", "2"), dapo("u-2", "Now?", "-3")),
             *(dapo("u-1", "What is\n\n$1+1$?", "2"), dapo("u-1", "Now?", "2"))],
            [("u-1", "What is\n\n$1+1$?", "2"), ("u-2", "Now?", "-3")],
            {"repeated": 1, "the id of another problem": 1},
        ),
        (
            "deepscaler",
            [{"problem": "P", "answer": "034", "solution": ""}, {"problem": "Q", "answer": r"\pi", "solution": "s"}],
            [("0", "P", "034"), ("1", "Q", r"\pi")],
            {},
        ),
        (
            "math_train",
            [
                {"problem": "P", "solution": r"So \boxed{1}, no, $\boxed{\frac{1}{2}}$.", "type": "Algebra"},
                {"problem": "Q", "solution": r"Thus $x = \boxed 7$.", "type": "Algebra"},
                {"problem": "R", "solution": "No box.", "type": "Algebra"},
                {"problem": "S", "solution": r"Empty: \boxed{}.", "type": "Algebra"},
            ],
            [("0", "P", r"\frac{1}{2}"), ("1", "Q", "7")],
            {"no box in the solution": 2},
        ),
        (
            "gsm8k_train",
            [{"question": "Q", "answer": GSM8K + "1,000"}, {"question": "R", "answer": "No mark."}],
            [("0", "Q", "1000")],
            {"no #### in the solution": 1},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_rows_in_the_hub_s_shape(mirror: Mirror, name: str, rows: list[Row], expected: Any, left_out: Any) -> None:
    loaded = load_set(name, mirror=mirror(name, rows))
    texts = [(problem, gold) for _, problem, gold in read(loaded)]
    assert texts == [(problem, gold) for _, problem, gold in expected]
    if name != "openmathreasoning":  # which has no ids; they are hashes of the content
        assert [problem.id for problem in loaded.problems] == [problem_id for problem_id, _, _ in expected]
    assert len({problem.id for problem in loaded.problems}) == len(loaded.problems)
    assert {problem.dataset for problem in loaded.problems} == {name}
    assert (loaded.rows, loaded.left_out) == (len(rows), left_out)


def gpqa(record: str, question: str, *choices: object) -> Row:
    keys = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
    return {"Record ID": record, "Question": question, **dict(zip(keys, choices, strict=True)), "Subdomain": "Optics"}


def test_choices_are_shuffled_by_id_and_the_gold_is_their_letter(mirror: Mirror) -> None:
    rows = [gpqa(f"rec{i}", f"Which, {i}?", f"right {i}", "wrong", "None", "NA") for i in range(80)]
    problems = load_set("gpqa_diamond", mirror=mirror("gpqa_diamond", rows)).problems
    for i, problem in enumerate(problems):
        question, *listed = re.split(
            r"\n+(?=[A-D]\) )", problem.problem.removesuffix("\n\nAnswer with the letter of the right choice.")
        )
        choices = dict(line.split(") ", 1) for line in listed)
        assert (problem.id, question, choices[problem.gold]) == (f"rec{i}", f"Which, {i}?", f"right {i}")
        assert sorted(choices) == list("ABCD") and sorted(choices.values()) == ["NA", "None", f"right {i}", "wrong"]
    assert {problem.gold for problem in problems} == set("ABCD")
    # The same id gives the same letters, whatever other rows there are, in any order.
    again = load_set("gpqa_diamond", mirror=mirror("gpqa_diamond", rows[::-1][:40])).problems
    assert again == problems[::-1][:40]
    assert multiple_choice("x", "Q", ["a", "b"]) == multiple_choice("x", "Q", ["a", "b"])


def test_bad_sets_are_named(mirror: Mirror, tmp_path: Path) -> None:
    good = [{"question": "Q", "answer": "#### 1"}, {"question": "R", "answer": "#### 2"}]
    folder = mirror("gsm8k_train", good)
    SETS["gsm8k_train"] = dataclasses.replace(SETS["gsm8k_train"], rows=3)  # the fixture restores it

    def said(name: str, where: Path) -> str:
        with pytest.raises(UsageError) as error:
            load_set(name, mirror=where)
        assert "\n" not in str(error.value) and SETS[name].repository in str(error.value)
        return str(error.value)

    assert "2 rows, but 3 at the pinned revision; fetch the file again" in said("gsm8k_train", folder)
    assert "cannot be read" in said("gsm8k_train", tmp_path / "elsewhere")
    assert "cannot be read" in said("gsm8k_train", mirror("gsm8k_train", [{"question": "Q", "text": "#### 1"}]))
    (folder / SETS["gsm8k_train"].repository / SETS["gsm8k_train"].file).write_bytes(b"PAR1")
    assert "cannot be read" in said("gsm8k_train", folder)
    no_answer = said("deepscaler", mirror("deepscaler", [{"problem": "P", "solution": "1"}]))
    assert "row 1: unexpected form (KeyError: 'answer'); it should have problem, answer" in no_answer
    words = [{"id": "0", "problem": "P", "answer": "two"}]
    assert "row 1: unexpected form (ValueError" in said("aime25", mirror("aime25", words))
    reworded = dapo("u", "P", "1") | {"prompt": [{"content": "Another frame: P", "role": "user"}]}
    loaded = load_set("dapo_math_17k", mirror=mirror("dapo_math_17k", [reworded]))
    assert (loaded.problems, loaded.left_out) == ([], {"instructions of another wording": 1})


def test_problems_to_compare_with_come_from_sets_and_files(mirror: Mirror, tmp_path: Path) -> None:
    folder = mirror("aime25", [{"problem": "1 + 1?", "answer": "2", "id": "0"}])
    assert [(problem.dataset, problem.id) for problem in evaluation_problems("aime25", folder)] == [("aime25", "0")]
    own = tmp_path / "own.jsonl"
    own.write_text('{"id": 7, "problem": "P"}\n{"id": 8, "problem": "Q", "dataset": "other"}\n')
    assert [(problem.dataset, problem.id, problem.problem) for problem in evaluation_problems(str(own))] == [
        ("own", "7", "P"),
        ("other", "8", "Q"),
    ]
    assert len(list(evaluation_problems("knights_knaves"))) == 600


def test_every_set_is_pinned() -> None:
    for name, problem_set in SETS.items():
        assert re.fullmatch("[0-9a-f]{40}", problem_set.revision), name
        assert problem_set.rows > 0 and problem_set.repository.count("/") == 1
