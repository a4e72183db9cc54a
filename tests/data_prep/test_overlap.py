r"""Decontamination: which texts count as the same, 13 words in a row, and `gsr-rl overlap`."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.overlap import EvaluationIndex, Overlap, ngrams, normal_text
from gsr_rl.cli import main
from gsr_rl.episode import Problem

BALLS = "An urn holds 4 red and 6 blue balls. If two are drawn without putting any back, how likely are both to be red?"
PARABOLA = r"Let $f(x) = \frac{1}{2}x^2 - 3x + 1$. For which real numbers $c$ has $f(x) = c$ exactly one solution?"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Find  all\nprimes p.", "find all primes P"),
        (r"What is $\dfrac12+\frac{3}{4}$?", r"What is \( \frac{1}{2} + \tfrac34 \)?"),
        (r"Solve $\left( x+1 \right)^{2} \leq 9$.", r"Solve \[(x + 1)^2\le9\]"),
        (r"The sum of $10{,}000$ numbers", "the sum of 10,000 numbers."),
        ("the sum of 10,000 numbers", "The sum of 10000 numbers"),
        (
            "a non-negative root: 3 \u00d7 4 \u2265 5\u22122, x\u00b2",
            r"A non negative root, $3 \times 4 \geq 5 - 2$, $x^2$",
        ),
        ("\ufb01ve \u2460", "five 1"),
        ("\u8fd9\u662f\uff0c\u4e00\u4e2a\u3002", "\u8fd9\u662f, \u4e00\u4e2a"),
        ("What is f'(x)?", "What is F' (x)"),
        (r"$\text{area of }\,ABC$", "area of abc"),
        ("Solve $xy + z = 1$.", "Solve $x y+z=1$."),  # of DAPO-Math-17k and OlympiadBench
        (r"\(a b c\) and $\sin x y$", "abc and $\\sin{xy}$"),
        (r"$x^{2}$, $x_{n}$, $x^{-1}$, $\sqrt{2}$", r"$x^2$, $x_n$, $x^-1$, $\sqrt2$"),
        ("$2^{3x}$ and \u221a(2x)", r"2^(3x) and $\sqrt{2x}$"),
        ("\u201cQuoted\u201d, he said; it\u2019s odd...", "Quoted he said: it's odd"),
    ],
)
def test_texts_that_differ_only_in_spelling(text: str, other: str) -> None:
    assert normal_text(text) == normal_text(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("What is 2 + 3?", "What is 2 - 3?"),
        ("What is 2 + 3?", "What is 23?"),
        ("What is 1.5?", "What is 15?"),
        ("What is .5?", "What is 5?"),
        ("List 1, 23.", "List 12, 3."),
        ("What is f(2)?", "What is f'(2)?"),
        ("What is 5!?", "What is 5?"),
        ("What is 2(3 + 4)?", "What is 2 * 3 + 4?"),
        (r"\frac{1}{23}", r"\frac{12}{3}"),
        ("Which is larger, a or b?", "Which is larger, a or c?"),
        ("$2^{3x}$", "$2^{3}x$"),
        (r"$\sqrt{2x}$", r"$\sqrt{2}x$"),
        (r"$\frac{1}{2x}$", r"$\frac{1}{2}x$"),
        (r"$\sqrt[3]{2x}$", r"$\sqrt[3]{2}x$"),
        ("$x_{nm}y$", "$x_{n}my$"),
        (r"$\alpha x$", r"$\alphax$"),
        ("x < 2", "x > 2"),
        ("A \u222a B", "A \u2229 B"),
        ("What is 2 @ 3?", "What is 2 # 3?"),
        ("???", "..."),
    ],
)
def test_texts_of_other_problems(text: str, other: str) -> None:
    assert normal_text(text) != normal_text(other)


def overlaps(train: str, *evaluated: str) -> list[tuple[str, str, float]]:
    index = EvaluationIndex(Problem(str(i), "eval", text, "") for i, text in enumerate(evaluated))
    found = index.overlaps("t", train)
    assert all((overlap.train_id, overlap.eval_dataset) == ("t", "eval") for overlap in found)
    return [(overlap.eval_id, overlap.match, overlap.overlap) for overlap in found]


def test_planted_copies_are_exact() -> None:
    assert overlaps(BALLS.upper().replace(" ", "\n  "), PARABOLA, BALLS) == [("1", "exact", 1.0)]
    respelt = PARABOLA.replace("$", "").replace(r"\frac{1}{2}", r" \dfrac12 ").replace("= ", "=\\,")
    assert overlaps(respelt, PARABOLA, BALLS) == [("0", "exact", 1.0)]


def test_planted_paraphrases_share_thirteen_words() -> None:
    # BALLS has 24 words, which make 12 13-grams. The paraphrase shares the last 16 words, which hold 4 of them.
    paraphrase = (
        "There are some balls. If two are drawn without putting any back, how likely are both to be red? Say why."
    )
    assert overlaps("Lots of red and blue ones. " + paraphrase, BALLS) == [("0", "13gram", round(4 / 12, 4))]
    # The whole text, within a longer problem.
    assert overlaps(f"Tim asks: {BALLS} And what if they are put back?", BALLS) == [("0", "13gram", 1.0)]


def test_innocent_look_alikes_are_left_alone() -> None:
    other_numbers = BALLS.replace("4 red", "5 red").replace("two", "three").replace("both", "all")
    assert overlaps(other_numbers, BALLS) == []
    assert overlaps("Compute 17 + 4.", "Compute 17 * 4.", "Compute 17 + 5.") == []
    # With fewer than 13 words only the whole text is compared.
    twelve = "one two three four five six seven eight nine ten eleven twelve"
    assert overlaps(f"{twelve} thirteen", twelve) == [] and overlaps(twelve, f"{twelve} thirteen") == []
    assert overlaps(f"{twelve} thirteen x", f"{twelve} thirteen y") == [("0", "13gram", 0.5)]
    # Diagrams begin alike.
    drawing = (
        "[asy] import olympiad; size(150); pair A, B, C, D; A=(0,0); B=(1,0); C=(1,1); D=(0,1); draw(A--B--C--D);[/asy]"
    )
    assert overlaps(f"Find the area. {drawing}", f"How long is AC? {drawing}") == []
    assert overlaps(f"Find the area. {drawing}", f"Find the area. {drawing.replace('150', '160')}") == []


def test_characters_count_as_words_in_scripts_without_spaces() -> None:
    # "Given that the function is increasing on the interval, find the range of the real number a", in Chinese.
    given = "\u5df2\u77e5\u51fd\u6570\u5728\u533a\u95f4\u4e0a\u5355\u8c03\u9012\u589e"
    asked = "\u6c42\u5b9e\u6570a\u7684\u53d6\u503c\u8303\u56f4"
    assert len(ngrams(f"{given}\uff0c{asked}\u3002")) == 12 + 9 - 12
    assert overlaps(f"\u8bf7\u95ee\uff1a{given}{asked}", f"{given}, {asked}") == [("0", "13gram", 1.0)]
    assert overlaps(given, f"{given}{asked}") == []
    assert overlaps(f"{given} , {asked}", f"{given}{asked}") == [("0", "exact", 1.0)]


words = st.lists(st.sampled_from("abc"), max_size=40)


@given(st.lists(words, max_size=5), words)
def test_the_index_agrees_with_a_comparison_of_all_runs(evaluated: list[list[str]], train: list[str]) -> None:
    expected = []
    for i, problem in enumerate(evaluated):
        runs = [tuple(problem[k : k + 13]) for k in range(len(problem) - 12)]
        there = {run for run in runs if any(tuple(train[k : k + 13]) == run for k in range(len(train)))}
        if problem == train:
            expected.append((str(i), "exact", 1.0))
        elif there:
            expected.append((str(i), "13gram", round(len(there) / len(set(runs)), 4)))
    assert overlaps(" ".join(train), *(" ".join(problem) for problem in evaluated)) == expected
    assert len(ngrams(" ".join(train))) == max(0, len(train) - 12)


# --- the tool ---------------------------------------------------------------------------------------------------------


def jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(problem_id: str, problem: str) -> dict[str, str]:
    return {"id": problem_id, "problem": problem, "answer": "1"}


def test_the_report_has_one_line_for_each_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(0)
    noise = [row(f"n{i}", " ".join(str(rng.randrange(10**6)) for _ in range(30))) for i in range(200)]
    train = [*noise[:100], row("same", PARABOLA.replace(" ", "  ")), *noise[100:], row("more", f"{BALLS} And blue?")]
    first = jsonl(tmp_path / "first.jsonl", [row("p", PARABOLA), row("b", BALLS)])
    pd.DataFrame([row("b2", BALLS.lower())]).to_csv(tmp_path / "second.csv", index=False)
    out = tmp_path / "new" / "report.jsonl"
    arguments = [
        "overlap",
        "--train",
        jsonl(tmp_path / "train.jsonl", train),
        "--eval",
        first,
        str(tmp_path / "second.csv"),
    ]
    assert main([*arguments, "--out", str(out)]) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"train_id": "same", "eval_dataset": "first", "eval_id": "p", "match": "exact", "overlap": 1.0},
        {"train_id": "more", "eval_dataset": "first", "eval_id": "b", "match": "13gram", "overlap": 1.0},
        {"train_id": "more", "eval_dataset": "second", "eval_id": "b2", "match": "13gram", "overlap": 1.0},
    ]
    printed = capsys.readouterr().out
    assert "first: 1 pairs have the same text, 1 share 13 words" in printed
    assert f"2 of 202 training problems overlap with 3 evaluation problems; report in {out}" in printed
    assert asdict(Overlap("a", "b", "c", "exact", 1.0)).keys() == json.loads(out.read_text().splitlines()[0]).keys()


def test_bad_files_are_refused_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = jsonl(tmp_path / "good.jsonl", [row("a", BALLS)])
    (tmp_path / "torn.jsonl").write_text(json.dumps(row("a", BALLS)) + '\n{"id": "b", "prob')
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    nameless = jsonl(tmp_path / "nameless.jsonl", [row("a", BALLS), {"id": "b", "text": "?"}])
    empty = jsonl(tmp_path / "empty.jsonl", [row("a", BALLS), row("b", " ")])
    half = jsonl(tmp_path / "half.jsonl", [row("a", "\ud800")])
    out = str(tmp_path / "out" / "report.jsonl")
    for train, evaluated, said in [
        (str(tmp_path / "torn.jsonl"), good, "torn.jsonl:2: not JSON"),
        (good, str(tmp_path / "bad.parquet"), "bad.parquet: cannot be read"),
        (nameless, good, "nameless.jsonl: row 2: no column 'problem'; it has id, text"),
        (good, empty, "empty.jsonl: row 2: 'problem' holds no text"),
        (half, good, "half.jsonl: row 1: 'problem' holds half a surrogate pair"),
        (good, "aime2", "--eval=aime2: no such file or set; did you mean aime2"),
        (str(tmp_path / "absent.jsonl"), good, "absent.jsonl: no such file"),
    ]:
        assert main(["overlap", "--train", train, "--eval", evaluated, "--out", out]) == 2
        error = capsys.readouterr().err.splitlines()
        assert said in error[-1], error
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
