r"""Named problem sets of the Hugging Face hub: where each is, at which revision, and how its rows are parsed.

A row is parsed into id, problem and gold answer. Licences, and where the pins come from: docs/data.md.
"""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from data_prep.tables import Row
from rewards.answers import extract_answer

# Id, problem and gold answer of a row; or the reason why the row is left out.
ParsedRow = tuple[str, str, str] | str


@dataclass(frozen=True, kw_only=True)
class ProblemSet:
    """One set: where its file is, and how its rows are parsed.

    `file` is the path in the repository, and may hold a `*`. `rows` is the number of rows at `revision`, a commit.
    `columns` are the columns that `parse` needs. `parse` takes a row and its number, counted from 0.
    """

    use: Literal["evaluation", "training"]
    repository: str
    revision: str
    file: str
    rows: int
    columns: tuple[str, ...]
    parse: Callable[[Row, int], ParsedRow]


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _integer(value: Any) -> str:
    """A whole number as an answer is written: 25 for AIME's "025", 142 for AMC's 142.0."""
    return str(int(float(_text(value) or "nan")))


def _contest(row: Row, number: int) -> ParsedRow:
    """The id is the end of `url`, "2022_AMC_12A_Problems/Problem_1", because `id` starts again with each year."""
    return "/".join(_text(row["url"]).rsplit("/", 2)[1:]), _text(row["problem"]), _integer(row["answer"])


def _aime25(row: Row, number: int) -> ParsedRow:
    return _text(row["id"]), _text(row["problem"]), _integer(row["answer"])


def _math500(row: Row, number: int) -> ParsedRow:
    return _text(row["unique_id"]), _text(row["problem"]), _text(row["answer"])


def _olympiadbench(row: Row, number: int) -> ParsedRow:
    golds = [_text(gold).replace("$", "") for gold in row["final_answer"] or ()]
    return _text(row["id"]), _text(row["question"]), ", ".join(golds)


def multiple_choice(problem_id: str, question: str, choices: list[str]) -> tuple[str, str, str]:
    """A question with lettered choices.

    The order of the choices depends only on the id, so that it is the same in every run and on every machine.

    Args:
        choices: at most ten; the first one is right.

    Returns:
        The id, the question with its choices, and the letter of the right choice.
    """
    order = random.Random(problem_id).sample(range(len(choices)), len(choices))
    letters = "ABCDEFGHIJ"[: len(choices)]
    listed = "\n".join(f"{letter}) {choices[index]}" for letter, index in zip(letters, order, strict=True))
    text = f"{question}\n\n{listed}\n\nAnswer with the letter of the right choice."
    return problem_id, text, letters[order.index(0)]


_GPQA_CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def _gpqa(row: Row, number: int) -> ParsedRow:
    choices = [_text(row[column]) for column in _GPQA_CHOICES]
    return multiple_choice(_text(row["Record ID"]), _text(row["Question"]), choices)


def _openmathreasoning(row: Row, number: int) -> ParsedRow:
    """Only problems whose answer was found in the forum's text. There is no id, so it is a hash of the content."""
    if row["problem_type"] != "has_answer_extracted":
        return f"problem_type {row['problem_type']}"
    problem, gold = _text(row["problem"]), _text(row["expected_answer"])
    return hashlib.sha256(f"{problem}\0{gold}".encode()).hexdigest()[:16], problem, gold


_DAPO_FRAME = re.compile(
    r"Solve the following math problem step by step\.[^\n]*answer to the problem\.\s*(.*?)"
    r'\s*Remember to put your answer on its own line after "Answer:"\.',
    re.S,
)


def _dapo(row: Row, number: int) -> ParsedRow:
    """The problem without the instructions around it. Each occurs about a hundred times, with the same `index`."""
    framed = _DAPO_FRAME.fullmatch(_text(row["prompt"][-1]["content"]))
    gold = _text(row["reward_model"]["ground_truth"])
    return (_text(row["extra_info"]["index"]), framed[1], gold) if framed else "instructions of another wording"


def _deepscaler(row: Row, number: int) -> ParsedRow:
    return str(number), _text(row["problem"]), _text(row["answer"])


def _math(row: Row, number: int) -> ParsedRow:
    solution = _text(row["solution"])
    unbraced = re.findall(r"\\boxed\s+([^\s{$.]+)", solution)  # such as "\boxed 2"
    gold = unbraced[-1] if unbraced and "boxed{" not in solution else extract_answer(solution)
    return (str(number), _text(row["problem"]), gold) if gold else "no box in the solution"


def _gsm8k(row: Row, number: int) -> ParsedRow:
    _, mark, gold = _text(row["answer"]).rpartition("####")
    return (str(number), _text(row["question"]), gold.strip().replace(",", "")) if mark else "no #### in the solution"


_ONE_FILE = "train-00000-of-00001.parquet"

SETS: dict[str, ProblemSet] = {
    "aime24": ProblemSet(
        use="evaluation",
        repository="HuggingFaceH4/aime_2024",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        file=f"data/{_ONE_FILE}",
        rows=30,
        columns=("url", "problem", "answer"),
        parse=_contest,
    ),
    "aime25": ProblemSet(
        use="evaluation",
        repository="math-ai/aime25",
        revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
        file="test.jsonl",
        rows=30,
        columns=("id", "problem", "answer"),
        parse=_aime25,
    ),
    "amc2223": ProblemSet(
        use="evaluation",
        repository="AI-MO/aimo-validation-amc",
        revision="69d78a4a2c840e82d69af6bc742bda09005f6316",
        file=f"data/{_ONE_FILE}",
        rows=83,
        columns=("url", "problem", "answer"),
        parse=_contest,
    ),
    "math500": ProblemSet(
        use="evaluation",
        repository="HuggingFaceH4/MATH-500",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        file="test.jsonl",
        rows=500,
        columns=("unique_id", "problem", "answer"),
        parse=_math500,
    ),
    "olympiadbench": ProblemSet(
        use="evaluation",
        repository="Hothan/OlympiadBench",
        revision="91184b52131e7fc9455fef848035173aea8cc01a",
        file="OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet",
        rows=674,
        columns=("id", "question", "final_answer"),
        parse=_olympiadbench,
    ),
    "gpqa_diamond": ProblemSet(
        use="evaluation",
        repository="Idavidrein/gpqa",
        revision="83022cefff930aea54f654c0b282e74b9eeda5c6",
        file="gpqa_diamond.csv",
        rows=198,
        columns=("Record ID", "Question", *_GPQA_CHOICES),
        parse=_gpqa,
    ),
    "openmathreasoning": ProblemSet(
        use="training",
        repository="nvidia/OpenMathReasoning",
        revision="d3d08664755704f422af97d43a7ff0ded4bd95df",
        file="data/cot-*.parquet",
        rows=3_201_061,
        columns=("problem", "expected_answer", "problem_type"),
        parse=_openmathreasoning,
    ),
    "dapo_math_17k": ProblemSet(
        use="training",
        repository="BytedTsinghua-SIA/DAPO-Math-17k",
        revision="65877096c24ffa7abc4e4fa5edb95cf3413a5674",
        file="data/dapo-math-17k.parquet",
        rows=1_791_700,
        columns=("prompt", "reward_model", "extra_info"),
        parse=_dapo,
    ),
    "deepscaler": ProblemSet(
        use="training",
        repository="agentica-org/DeepScaleR-Preview-Dataset",
        revision="b6ae8c60f5c1f2b594e2140b91c49c9ad0949e29",
        file="deepscaler.json",
        rows=40_315,
        columns=("problem", "answer"),
        parse=_deepscaler,
    ),
    "math_train": ProblemSet(
        use="training",
        repository="DigitalLearningGmbH/MATH-lighteval",
        revision="0530c78699ea5e8eb5530600900e1f328b48acad",
        file=f"data/{_ONE_FILE}",
        rows=7_500,
        columns=("problem", "solution"),
        parse=_math,
    ),
    "gsm8k_train": ProblemSet(
        use="training",
        repository="openai/gsm8k",
        revision="740312add88f781978c0658806c59bc2815b9866",
        file=f"main/{_ONE_FILE}",
        rows=7_473,
        columns=("question", "answer"),
        parse=_gsm8k,
    ),
}
