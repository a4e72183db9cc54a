r"""Named problem sets of the Hugging Face hub: where each is, at which revision, and how its rows read.

The normal form is id, problem, gold answer. Licences, and where the pins come from: docs/data.md.
"""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from data_prep.tables import Row
from rewards.answers import extract_answer

# Id, problem and gold answer of a row; or why the row is no problem of the set.
Normal = tuple[str, str, str] | str


@dataclass(frozen=True)
class ProblemSet:
    """`file` is its path in the repository and may hold a `*`; `rows` is how many there are at `revision`; `normal`
    reads a row, given its number from 0.
    """

    use: Literal["evaluation", "training"]
    repository: str
    revision: str
    file: str
    rows: int
    columns: tuple[str, ...]
    normal: Callable[[Row, int], Normal]


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _integer(value: Any) -> str:
    """AIME's "025" and AMC's 142.0 as one writes an answer."""
    return str(int(float(_text(value) or "nan")))


def _contest(row: Row, number: int) -> Normal:
    """The id is the end of `url`, "2022_AMC_12A_Problems/Problem_1": the column `id` starts anew with each year."""
    return "/".join(_text(row["url"]).rsplit("/", 2)[1:]), _text(row["problem"]), _integer(row["answer"])


def _aime25(row: Row, number: int) -> Normal:
    return _text(row["id"]), _text(row["problem"]), _integer(row["answer"])


def _math500(row: Row, number: int) -> Normal:
    return _text(row["unique_id"]), _text(row["problem"]), _text(row["answer"])


def _olympiadbench(row: Row, number: int) -> Normal:
    golds = [_text(gold).replace("$", "") for gold in row["final_answer"] or ()]
    return _text(row["id"]), _text(row["question"]), ", ".join(golds)


def multiple_choice(problem_id: str, question: str, choices: list[str]) -> tuple[str, str, str]:
    """A question with lettered choices; the gold answer is the letter of the first of `choices`.

    Their order depends on the id alone, so that it is the same in every run and on every machine.
    """
    order = random.Random(problem_id).sample(range(len(choices)), len(choices))
    letters = "ABCDEFGHIJ"[: len(choices)]
    listed = "\n".join(f"{letter}) {choices[index]}" for letter, index in zip(letters, order, strict=True))
    text = f"{question}\n\n{listed}\n\nAnswer with the letter of the right choice."
    return problem_id, text, letters[order.index(0)]


_GPQA_CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def _gpqa(row: Row, number: int) -> Normal:
    return multiple_choice(_text(row["Record ID"]), _text(row["Question"]), [_text(row[one]) for one in _GPQA_CHOICES])


def _openmathreasoning(row: Row, number: int) -> Normal:
    """Problems whose answer was found in the forum's text. There is no id, so that it is made of the content."""
    if row["problem_type"] != "has_answer_extracted":
        return f"problem_type {row['problem_type']}"
    problem, gold = _text(row["problem"]), _text(row["expected_answer"])
    return hashlib.sha256(f"{problem}\0{gold}".encode()).hexdigest()[:16], problem, gold


_DAPO_FRAME = re.compile(
    r"Solve the following math problem step by step\.[^\n]*answer to the problem\.\s*(.*?)"
    r'\s*Remember to put your answer on its own line after "Answer:"\.',
    re.S,
)


def _dapo(row: Row, number: int) -> Normal:
    """The problem without the instructions around it. Each is there about a hundred times, with one `index`."""
    framed = _DAPO_FRAME.fullmatch(_text(row["prompt"][-1]["content"]))
    gold = _text(row["reward_model"]["ground_truth"])
    return (_text(row["extra_info"]["index"]), framed[1], gold) if framed else "instructions of another wording"


def _deepscaler(row: Row, number: int) -> Normal:
    return str(number), _text(row["problem"]), _text(row["answer"])


def _math(row: Row, number: int) -> Normal:
    solution = _text(row["solution"])
    unbraced = re.findall(r"\\boxed\s+([^\s{$.]+)", solution)  # "\boxed 2"
    gold = unbraced[-1] if unbraced and "boxed{" not in solution else extract_answer(solution)
    return (str(number), _text(row["problem"]), gold) if gold else "no box in the solution"


def _gsm8k(row: Row, number: int) -> Normal:
    _, mark, gold = _text(row["answer"]).rpartition("####")
    return (str(number), _text(row["question"]), gold.strip().replace(",", "")) if mark else "no #### in the solution"


_ONE = "train-00000-of-00001.parquet"

SETS: dict[str, ProblemSet] = {
    "aime24": ProblemSet(
        "evaluation", "HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        f"data/{_ONE}", 30, ("url", "problem", "answer"), _contest,
    ),
    "aime25": ProblemSet(
        "evaluation", "math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b",
        "test.jsonl", 30, ("id", "problem", "answer"), _aime25,
    ),
    "amc2223": ProblemSet(
        "evaluation", "AI-MO/aimo-validation-amc", "69d78a4a2c840e82d69af6bc742bda09005f6316",
        f"data/{_ONE}", 83, ("url", "problem", "answer"), _contest,
    ),
    "math500": ProblemSet(
        "evaluation", "HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        "test.jsonl", 500, ("unique_id", "problem", "answer"), _math500,
    ),
    "olympiadbench": ProblemSet(
        "evaluation", "Hothan/OlympiadBench", "91184b52131e7fc9455fef848035173aea8cc01a",
        "OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet", 674,
        ("id", "question", "final_answer"), _olympiadbench,
    ),
    "gpqa_diamond": ProblemSet(
        "evaluation", "Idavidrein/gpqa", "83022cefff930aea54f654c0b282e74b9eeda5c6",
        "gpqa_diamond.csv", 198, ("Record ID", "Question", *_GPQA_CHOICES), _gpqa,
    ),
    "openmathreasoning": ProblemSet(
        "training", "nvidia/OpenMathReasoning", "d3d08664755704f422af97d43a7ff0ded4bd95df",
        "data/cot-*.parquet", 3_201_061, ("problem", "expected_answer", "problem_type"), _openmathreasoning,
    ),
    "dapo_math_17k": ProblemSet(
        "training", "BytedTsinghua-SIA/DAPO-Math-17k", "65877096c24ffa7abc4e4fa5edb95cf3413a5674",
        "data/dapo-math-17k.parquet", 1_791_700, ("prompt", "reward_model", "extra_info"), _dapo,
    ),
    "deepscaler": ProblemSet(
        "training", "agentica-org/DeepScaleR-Preview-Dataset", "b6ae8c60f5c1f2b594e2140b91c49c9ad0949e29",
        "deepscaler.json", 40_315, ("problem", "answer"), _deepscaler,
    ),
    "math_train": ProblemSet(
        "training", "DigitalLearningGmbH/MATH-lighteval", "0530c78699ea5e8eb5530600900e1f328b48acad",
        f"data/{_ONE}", 7_500, ("problem", "solution"), _math,
    ),
    "gsm8k_train": ProblemSet(
        "training", "openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866",
        f"main/{_ONE}", 7_473, ("question", "answer"), _gsm8k,
    ),
}  # fmt: skip
