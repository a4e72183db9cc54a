"""`gsr-rl data` on problems of a user's own: what is left out, where it is written down, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from composed import changed, composed

from data_prep.knights import knights_knaves
from data_prep.problems import load_problems
from data_prep.rows import read_rl_rows
from gsr_rl.cli import main
from gsr_rl.episode import Episode, Response, write_episodes
from gsr_rl.errors import UsageError
from gsr_rl.stages.data import check

LONG = "Ann walks from the mill to the church in {} minutes and back in {}; how far is it for her if she walks {} km/h?"


def question(i: int) -> str:
    return LONG.format(i + 3, 2 * i + 7, i % 5 + 1) if i % 2 else f"What is {i} + {i + 1}?"


def rows(n: int) -> list[dict[str, Any]]:
    return [{"no": f"q{i}", "text": question(i), "gold": str(2 * i + 1)} for i in range(n)]


def data(folder: Path, source: object, *overrides: str) -> int:
    columns = "problems.columns={id: no, problem: text, answer: gold}"
    sizes = ["problems.train=12", "problems.dev=4", "problems.held_out=4"]
    run = ["data", "recipe=quickstart_cpu", f"run_dir={folder}", f"problems.source={source}", *sizes]
    return main([*run, *([columns] if isinstance(source, Path) else []), *overrides])


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_own_columns_duplicates_and_overlaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = [
        {"no": "again", "text": "what is 0+1", "gold": "1"},  # of q0
        {"no": "other", "text": "What is 2 + 3", "gold": "7"},  # of q2, whose gold is 5
    ]
    source = jsonl(tmp_path / "mine.jsonl", [*rows(24), *extra])
    evaluated = jsonl(
        tmp_path / "exam.jsonl",
        [
            {"id": "e1", "problem": "WHAT is 4+5", "answer": "9"},  # q4
            {"id": "e2", "problem": f"Easy. {question(3)}", "answer": "1"},  # q3
            {"id": "e3", "problem": "What is 6 - 7?", "answer": "-1"},
        ],
    )
    folder = tmp_path / "run"
    assert data(folder, source, f"problems.decontaminate=[{evaluated}]", "problems.min_overlap=0.5") == 0
    report = json.loads((folder / "data" / "report.json").read_text())
    assert report["duplicates"] == [{"kept": "q0", "dropped": "again"}]
    assert report["conflicting_golds"] == [{"ids": ["q2", "other"], "golds": ["5", "7"]}]
    overlaps = [json.loads(line) for line in (folder / "data" / "overlap.jsonl").read_text().splitlines()]
    whole = [row for row in overlaps if row["overlap"] > 0.5]
    assert whole == [
        {"train_id": "q3", "eval_dataset": "exam", "eval_id": "e2", "match": "13gram", "overlap": whole[0]["overlap"]},
        {"train_id": "q4", "eval_dataset": "exam", "eval_id": "e1", "match": "exact", "overlap": 1.0},
    ]
    assert report["decontaminated"]["dropped"] == 2
    assert report["splits"] == {"train": 12, "dev": 4, "held_out": 4}
    ids = [problem.id for split in report["splits"] for problem in load_problems(folder / "data" / f"{split}.jsonl")]
    assert len(set(ids)) == 20 and not {"again", "other", "q2", "q3", "q4"} & set(ids)
    printed = capsys.readouterr().out
    assert "23 of 26 problems" in printed and "1 duplicates, 1 conflicting golds, 0 unreadable golds" in printed
    assert f"2 dropped; {folder}/data/overlap.jsonl" in printed


def test_the_student_s_pass_rate_filters_training_problems_alone(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "mine.jsonl", rows(20))
    assert data(tmp_path / "first", source) == 0
    train = load_problems(tmp_path / "first" / "data" / "train.jsonl")
    held_out = load_problems(tmp_path / "first" / "data" / "held_out.jsonl")
    right = {problem.id: i % 5 for i, problem in enumerate(train[:10])}  # of 4 candidates; two problems have none
    episodes = [
        Episode.of(problem, [Response("t", "1", k < right[problem.id]) for k in range(4)]) for problem in train[:10]
    ]
    write_episodes(tmp_path / "first" / "candidates.jsonl", episodes)
    difficulty = [f"problems.difficulty={tmp_path}/first/candidates.jsonl", "data.train_batch_size=4"]
    batch = "actor_rollout_ref.actor.ppo_mini_batch_size=4"

    assert data(tmp_path / "second", source, *difficulty, batch, "problems.pass_rate={min: 0.25, max: 0.75}") == 0
    kept = [row.id for row in read_rl_rows(tmp_path / "second" / "data" / "train.parquet")]
    assert kept == [problem.id for i, problem in enumerate(train) if i >= 10 or 0 < i % 5 < 4]
    assert load_problems(tmp_path / "second" / "data" / "held_out.jsonl") == held_out
    infos = pd.read_parquet(tmp_path / "second" / "data" / "train.parquet")["extra_info"]
    rates = {info["id"]: info["pass_rate"] for info in infos}
    assert [rates[problem_id] for problem_id in kept[:3]] == [0.25, 0.5, 0.75] and pd.isna(rates[kept[-1]])
    report = json.loads((tmp_path / "second" / "data" / "report.json").read_text())
    assert report["difficulty"] == {"kept": 8, "below": 2, "above": 2, "unsampled": 2}
    assert report["splits"]["train"] == 8

    unsampled = "problems.pass_rate={min: 0.25, max: 0.75, unsampled: drop}"
    assert data(tmp_path / "third", source, *difficulty, batch, unsampled) == 0
    assert len(read_rl_rows(tmp_path / "third" / "data" / "train.parquet")) == 6


def test_knights_and_knaves_as_a_source(tmp_path: Path) -> None:
    assert data(tmp_path / "run", "knights_knaves", "problems.knights_knaves.people=[3]", "problems.seed=4") == 0
    drawn = knights_knaves(20, seed=4, people=[3])
    made = [
        problem
        for split in ("train", "dev", "held_out")
        for problem in load_problems(tmp_path / "run" / "data" / f"{split}.jsonl")
    ]
    assert sorted(made, key=lambda problem: problem.id) == sorted(drawn, key=lambda problem: problem.id)


SHA = 40 * "a"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["source=math_trian"], "problems.source=math_trian: no such file or set; did you mean math_train?"),
        (["source=math500"], "problems.source=math500: must be a set or file to train on"),
        (["source=gsm8k_train", "revision=main"], "problems.revision=main: must be a commit of 40"),
        ([f"revision={SHA}"], "must be null unless problems.source is a named set"),
        (["mirror=x", f"revision={SHA}"], "must be null where problems.mirror"),
        (["decontaminate=[aime24,absent.jsonl]"], "problems.decontaminate=absent.jsonl: no such file or set"),
        (["decontaminate=aime24"], "problems.decontaminate='aime24': must be a list"),
        (["decontaminate=[24]"], "problems.decontaminate.0=24: must be text"),
        (["min_overlap=2"], "problems.min_overlap=2: must be from 0 to 1"),
        (["pass_rate.min=0.1"], "problems.difficulty=None: must be a file of episodes"),
        (["pass_rate={min: 0.9, max: 0.5}"], "problems.pass_rate.min=0.9: must be"),
        (["pass_rate.unsampled=ask"], "problems.pass_rate.unsampled=ask: must be one of keep, drop"),
        (["difficulty=absent.jsonl"], "problems.difficulty=absent.jsonl: must be an existing file of episodes"),
        (["columns.id=7"], "problems.columns.id=7: must be text"),
        (["train=0"], "problems.train=0: must be at least 1"),
        (["source=knights_knaves", "knights_knaves.people=[9]"], "problems.knights_knaves.people=[9]: must be"),
    ],
)
def test_what_is_refused_before_anything_starts(overrides: list[str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        check(changed(composed("quickstart_cpu"), *(f"problems.{override}" for override in overrides)))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_exit_code_2_and_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data(tmp_path / "run", "gsm8k_train", "problems.mirror=nowhere") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("gsr-rl: gsm8k_train: nowhere/openai/gsm8k/main/") and "cannot be read" in error
    assert not (tmp_path / "run").exists()


def test_what_a_file_does_not_hold_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = jsonl(tmp_path / "mine.jsonl", rows(20))
    assert data(tmp_path / "run", source, "problems.columns.answer=solution") == 2
    assert "mine.jsonl: row 1: no column 'solution'; it has no, text, gold" in capsys.readouterr().err
    write_episodes(tmp_path / "none.jsonl", [Episode("x", "d", "P", "1", (Response("t", "1", True),))])
    assert data(tmp_path / "run", source, f"problems.difficulty={tmp_path}/none.jsonl") == 2
    assert "none of the training problems is in it" in capsys.readouterr().err
    exam = jsonl(tmp_path / "exam.jsonl", [{"id": f"e{i}", "problem": question(i)} for i in range(10)])
    assert data(tmp_path / "run", source, f"problems.decontaminate=[{exam}]") == 2
    assert "10 distinct problems" in capsys.readouterr().err
