"""What `gsr-rl eval` refuses before a model is asked."""

from pathlib import Path

import pytest
from adder import adder, at, evaluation, jsonl, sums
from scripted_server import ScriptedServer

from data_prep.benchmarks import load_benchmarks
from gsr_rl.errors import UsageError

ROWS = {
    "gold": [*sums(1), {"id": "x", "problem": "?"}],
    "blank": [{"id": "x", "problem": "What?", "answer": " "}],
    "macro": [{"id": "x", "problem": "What?", "answer": "1", "dataset": "macro"}],
    "again": sums(2),
    "long": [{"id": "x", "problem": "word " * 900, "answer": "1"}],
}


@pytest.mark.parametrize(
    ("benchmarks", "overrides", "said"),
    [
        ("aime2024", [], "eval.benchmarks=aime2024: no such file or set; did you mean aime24?"),
        (
            "dapo_math_17k",
            [],
            "eval.benchmarks=dapo_math_17k: must be an evaluation set, or a file; this is a training set",
        ),
        ("", [], "eval.benchmarks=[]: must be a list of different set names and files"),
        ("aime24,aime24", [], "eval.benchmarks=['aime24', 'aime24']: must be a list of different"),
        ("{gold}", [], "gold.jsonl: row 2: no column 'answer'"),
        ("{blank}", [], "blank.jsonl: row 1: 'answer' holds no text; fill it in or drop the row"),
        ("{macro}", [], 'macro.jsonl: "macro" is the name of the mean over datasets; rename the dataset'),
        ("{again},{exam}", [], "are both called sums; give the rows of one file another"),
        ("{long}", ["eval.tokenizer={model}"], "actor_rollout_ref.rollout.prompt_length=600: must be at least"),
        ("{exam}", ["eval.name=grpo"], "eval.name=grpo: must be another name"),
        ("{exam}", ["eval.server.model=null"], "eval.server.model=None: must be the model's name at model=URL"),
        ("{exam}", ["eval.server.model=nobody"], "does not serve 'nobody', but toy; set eval.server.model"),
        (
            "{exam}",
            ["eval.server.urls=[http://a/v1]"],
            "eval.server.urls=['http://a/v1']: must be empty beside model=URL",
        ),
        ("{exam}", ["model=null"], "eval.server.model=toy: must be null where model is a folder or hub name"),
        (
            "{exam}",
            ["eval.refiner.model=http://a/v1"],
            "eval.refiner.model=http://a/v1: must be a name; the URL belongs",
        ),
        ("{exam}", ["eval.pool=4"], "eval.pool=4: must be null, or at least 5: a set of 4 and eval.extra_candidates=1"),
        ("{exam}", ["eval.sweep=[2,2]"], "eval.sweep=[2, 2]: must be null, or a list of different whole numbers"),
        ("{exam}", ["eval.sweep=[]"], "eval.sweep=[]: must be null, or a list"),
        ("{exam}", ["eval.repeats=0"], "eval.repeats=0: must be at least 1"),
        ("{exam}", ["eval.rounds=2"], "eval.population=None: must be the candidates of each of eval.rounds=2"),
        ("{exam}", ["eval.population=4"], "eval.population=4: must be null, or at least 5"),
        ("{exam}", ["eval.population=9", "eval.sweep=[2]"], "eval.sweep=[2]: must be null beside eval.population"),
        ("{exam}", ["eval.population=9", "gsr.validation.m=2"], "gsr.validation.m=2: must be 1 beside eval.population"),
        ("{exam}", ["eval.tokenizer=/nowhere/at/all"], "model /nowhere/at/all: cannot be read"),
        (
            "{exam}",
            ["model={model}", "eval.server.model=null", "eval.tokenizer={model}"],
            "must be null: the model that refines is not at a URL, and has its own tokenizer",
        ),
        ("aime25", ["problems.mirror=/nowhere"], "aime25: /nowhere/math-ai/aime25/test.jsonl: cannot be read"),
        ("{exam}", ["eval.server.timeout_s=0"], "eval.server.timeout_s=0: must be above 0"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_starts(
    tmp_path: Path,
    exam: Path,
    model: Path,
    benchmarks: str,
    overrides: list[str],
    said: str,
) -> None:
    files: dict[str, Path] = {name: jsonl(tmp_path / f"{name}.jsonl", rows) for name, rows in ROWS.items()}
    files["again"] = jsonl(tmp_path / "again" / "sums.jsonl", sums(2))
    files |= {"exam": exam, "model": model}
    with ScriptedServer(adder) as server:
        more = [override.format(**files) for override in overrides]
        with pytest.raises(UsageError) as raised:
            evaluation(tmp_path / "run", benchmarks.format(**files), *at(server), *more)
        assert server.seen == 0
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_named_benchmarks() -> None:
    (problems,) = load_benchmarks(["knights_knaves"], None)
    assert len(problems) == 600 and {problem.dataset for problem in problems} == {"knights_knaves"}
