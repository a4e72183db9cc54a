"""Stage `teach` with servers as student and teacher, from the recipe's keys to the rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adder import ScriptedEngine
from composed import changed
from scripted_server import MODEL, Body, Reply, ScriptedServer, completion, faulty
from tiny import tiny_tokenizer

from data_prep.problems import load_problems
from data_prep.rows import SftRow, read_sft_rows
from gsr_rl.episode import read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.generation import roles
from gsr_rl.generation.journal import Journal
from gsr_rl.settings.compose import load_settings
from gsr_rl.settings.settings import Settings
from gsr_rl.stages import chain, data, records, sft, teach

TRAIN, TAUGHT = 12, 8
TOKENIZER: Any = tiny_tokenizer()


def claim(settings: Settings, stage: str) -> None:
    """The record of a stage, as if it had been made."""
    with records.claimed(settings, stage):
        pass


@pytest.fixture(scope="module")
def base(model: Path) -> Settings:
    return load_settings(
        "quickstart_cpu",
        [
            *(f"base_model={model}", "actor_rollout_ref.rollout.prompt_length=2000", "gsr.k=3", "teach.teacher=llm"),
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=4096",
            *(f"problems.train={TRAIN}", "problems.dev=2", "problems.held_out=2", f"teach.problems={TAUGHT}"),
            *(f"teach.student.model={MODEL}", "teach.student.retry_s=0.01"),
            *(f"teach.llm.model={MODEL}", "teach.llm.retry_s=0.01"),
        ],
    )


def settings_of(run_dir: Path, base: Settings, url: str, *overrides: str) -> Settings:
    served = [f"teach.student.urls=[{url}]", f"teach.llm.urls=[{url}]"]
    return changed(base, f"run_dir={run_dir}", *served, *overrides)


def teacher_and_student(body: Body) -> Reply:
    """The student always answers the first pair, the teacher the right one. The student is recognised by its limit of
    tokens (gsr.candidate_tokens)."""
    said = body["messages"][-1]["content"] if "messages" in body else TOKENIZER.decode(body["prompt"])
    puzzle = next(line for line in said.split("\n") if line.startswith("Which two"))
    numbers = [int(word.strip(",")) for word in puzzle.split(" add up")[0].split(" of ")[1].split()]
    total = int(puzzle.split("add up to ")[1].split("?")[0])
    if body["max_tokens"] == 28:
        return completion(f"\\boxed{{({numbers[0]}, {numbers[1]})}} {body['seed'] % 2}")
    first, second = next((a, b) for a in numbers for b in numbers if a < b and a + b == total)
    return completion(f"I see. \\boxed{{({first}, {second})}}", reasoning_content="hm")


def run(settings: Settings) -> tuple[list[SftRow], dict[str, Any]]:
    folder = settings.folder
    if not folder.problems("train").exists():
        data.run(settings)
    teach.run(settings)
    return read_sft_rows(folder.sft_rows("sft")), json.loads(folder.teach_summary.read_text())


def test_candidates_targets_and_what_is_said_of_them(
    tmp_path: Path, base: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(teacher_and_student) as server:
        prices = ["teach.llm.price_in=1000", "teach.llm.price_out=100000"]
        settings = settings_of(tmp_path, base, server.url, "teach.refine_weight=1", "teach.thinking=keep", *prices)
        rows, summary = run(settings)
    folder = settings.folder
    problems = {problem.id: problem for problem in load_problems(folder.problems("train"))}
    sets = read_episodes(folder.candidates)
    pools = read_episodes(folder.pool)
    assert [episode.id for episode in sets] == [pool.id for pool in pools] == list(problems)[:TAUGHT]
    for episode in sets:
        first_two = f"({', '.join(episode.problem.split(' of ')[1].split(' add')[0].split(', ')[:2])})"
        assert {candidate.answer for candidate in episode.candidates} == {first_two}
        assert {candidate.correct for candidate in episode.candidates} == {episode.gold == first_two}
    # All rows of a set are its refinement, since teach.refine_weight is 1.
    assert sorted(row.id for row in rows) == sorted(list(problems)[:TAUGHT])
    for row in rows:
        assert row.kind == "refine"
        assert row.response == f"<think>\nhm\n</think>\n\nI see. \\boxed{{{problems[row.id].gold}}}"
        assert problems[row.id].problem in row.prompt and row.prompt.count("Solution ") == 3
    right = sum(episode.candidates[0].correct for episode in sets)
    assert 0 < right < TAUGHT
    answers = TAUGHT * 3 + TAUGHT  # no direct solutions, which the mix would leave out
    assert summary == {
        "candidate_sets": TAUGHT,
        "all_wrong": TAUGHT - right,
        "correct_of_pool": [TAUGHT - right, 0, 0, right],
        "targets": {"refine": {"correct": TAUGHT}},
        # 10 tokens in and 3 out an answer, at 0.001 and 0.1 dollars.
        "usage": {
            MODEL: {
                "answers": answers,
                "tokens in": 10 * answers,
                "tokens out": 3 * answers,
                "dollars": round(answers * (0.01 + 0.3), 2),
            }
        },
    }
    out = capsys.readouterr().out
    assert f"problems by number of correct candidates, from none to all: [{TAUGHT - right}, 0, 0, {right}]" in out
    assert f"in {TAUGHT - right} of {TAUGHT} candidate sets all were wrong; rows in {folder.sft_rows('sft')}" in out


def test_the_rows_are_the_same_whatever_the_timing(tmp_path: Path, base: Settings) -> None:
    overrides = ["teach.pool=4", "teach.sets_per_problem=3", "teach.keep=all", "teach.tries=2"]
    with ScriptedServer() as server:
        rows, summary = run(settings_of(tmp_path / "a", base, server.url, *overrides))
    with ScriptedServer(faulty(0.3), delay=0.003) as server:
        limits = ["teach.llm.timeout_s=0.5", "teach.student.timeout_s=0.5", "teach.llm.concurrency=3"]
        again, summary_again = run(settings_of(tmp_path / "b", base, server.url, *overrides, *limits))
    assert again == rows and summary_again == summary
    assert summary["candidate_sets"] == 3 * TAUGHT and sum(summary["correct_of_pool"]) == TAUGHT
    for name in ("pool", "candidates"):
        assert (tmp_path / "a/teach" / f"{name}.jsonl").read_text() == (
            tmp_path / "b/teach" / f"{name}.jsonl"
        ).read_text()


def test_direct_solutions_of_the_warmup_are_not_asked_for_again(tmp_path: Path, base: Settings) -> None:
    with ScriptedServer(teacher_and_student) as server:
        settings = settings_of(tmp_path, base, server.url)
        data.run(settings)
        teach.direct(settings)
        assert server.seen == TRAIN
        warmup = read_sft_rows(settings.folder.sft_rows("warmup"))
        assert [row.kind for row in warmup] == ["direct"] * TRAIN
        run(settings)
        assert server.seen == TRAIN + TAUGHT * (3 + 1)
        run(settings)
        assert server.seen == TRAIN + TAUGHT * (3 + 1)


def test_the_oracle_can_refine_what_a_server_sampled(tmp_path: Path, base: Settings) -> None:
    with ScriptedServer(teacher_and_student) as server:
        rows, summary = run(settings_of(tmp_path, base, server.url, "teach.teacher=oracle", "teach.refine_weight=1"))
        assert server.seen == 3 * TAUGHT
    assert all(row.response.startswith("Solution 1: ") for row in rows)
    assert summary["targets"] == {}


def test_a_problem_without_room_for_candidates_has_no_refinement_row(
    tmp_path: Path, base: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(teacher_and_student) as server:
        settings = settings_of(tmp_path, base, server.url, "teach.refine_weight=0")
        data.run(settings)
        train = settings.folder.problems("train")
        first, *others = train.read_text().splitlines()
        long = json.loads(first)
        long["problem"] += "\n" + "word " * 3000
        train.write_text("\n".join([json.dumps(long), *others]) + "\n")
        _, summary = run(settings)
    assert summary["candidate_sets"] == TAUGHT - 1
    assert f"1 problems leave no room for candidates, such as '{long['id']}'" in capsys.readouterr().out


def test_two_runs_on_one_folder_are_refused(tmp_path: Path, base: Settings) -> None:
    settings = settings_of(tmp_path, base, "http://127.0.0.1:1/v1")
    data.run(settings)
    with (
        Journal(settings.folder.answers),
        pytest.raises(UsageError, match=r"answers.lock: process \d+ is at work"),
    ):
        teach.run(settings)


def test_where_models_are_served_may_change_from_one_start_to_the_next(tmp_path: Path, base: Settings) -> None:
    first = settings_of(tmp_path, base, "http://a/v1")
    claim(first, "teach")
    elsewhere = ("teach.llm.concurrency=9", "teach.student.api_key_env=OTHER")
    records.check(settings_of(tmp_path, base, "http://b/v1", *elsewhere), "teach")
    for override in ("teach.llm.model=other", "teach.llm.temperature=0.1", "teach.keep=all"):
        with pytest.raises(UsageError, match=override.partition("=")[0]):
            records.check(settings_of(tmp_path, base, "http://a/v1", override), "teach")


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the models that are looked for before a stage starts."""
    keys: list[str] = []
    for module in (teach, chain):
        monkeypatch.setattr(module, "check_roles", lambda settings, found: keys.extend(role.key for role in found))
    return keys


def test_which_servers_are_looked_for(tmp_path: Path, base: Settings, checked: list[str]) -> None:
    def looked_for(check: Callable[[Settings], None], *overrides: str) -> list[str]:
        checked.clear()
        check(settings_of(tmp_path, base, "http://a/v1", *overrides))
        return [key for key in checked if key.startswith("teach.")]

    both = ["teach.student", "teach.llm"]
    assert looked_for(teach.check) == both
    assert set(looked_for(chain.check)) == {*both}
    assert looked_for(sft.check_warmup) == ["teach.llm"]
    assert looked_for(sft.check) == looked_for(chain.check, "skip_stages=[warmup,teach]") == []
    assert looked_for(chain.check, "teach.teacher=oracle") == ["teach.student"]
    assert looked_for(chain.check, "skip_stages=[teach]") == ["teach.llm"]  # the direct solutions of the warm-up
    assert looked_for(chain.check, "skip_stages=[teach]", "warmup.steps=0") == []
    folder = settings_of(tmp_path, base, "http://a/v1").folder
    folder.candidates.parent.mkdir()
    folder.candidates.touch()
    assert looked_for(teach.check) == ["teach.llm"]
    folder.sft_rows("sft").touch()
    folder.model("warmup").mkdir(parents=True)
    assert looked_for(chain.check) == []


def test_a_device_is_needed_where_a_model_runs_here(tmp_path: Path, base: Settings) -> None:
    def is_needed(*overrides: str) -> bool:
        return teach.needs_device(settings_of(tmp_path, base, "http://a/v1", *overrides))

    assert not is_needed()
    assert is_needed("teach.student.urls=[]")
    assert is_needed("teach.llm.urls=[]")
    assert not is_needed("teach.llm.urls=[]", "teach.teacher=oracle")


@pytest.mark.parametrize("stage", [chain, teach])
def test_a_server_is_refused_before_anything_starts(tmp_path: Path, base: Settings, stage: Any) -> None:
    with ScriptedServer(models=("other",)) as server:
        settings = settings_of(tmp_path, base, server.url)
        with pytest.raises(UsageError, match=r"does not serve 'toy', but other; set teach.(student|llm).model"):
            stage.check(settings)
        stage.check(settings_of(tmp_path, base, server.url, "teach.student.model=other", "teach.teacher=oracle"))


def test_a_model_to_be_served_is_looked_at_before_anything_starts(tmp_path: Path, base: Settings) -> None:
    here = ["teach.llm.urls=[]", f"teach.llm.model={tmp_path}", "teach.student.model=null", "teach.student.urls=[]"]
    settings = settings_of(tmp_path, base, "http://a/v1", *here)
    with pytest.raises(UsageError, match=r"must be a Hugging Face folder with a config.json"):
        teach.check(settings)


def test_models_that_run_here_are_loaded_one_after_the_other(
    tmp_path: Path, base: Settings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The student is the latest model of the chain; both engines have the longest request that their model gets."""
    engine = ScriptedEngine()
    engine.handler = teacher_and_student
    monkeypatch.setattr(roles, "Engine", engine)
    here = ["teach.student.model=null", "teach.student.urls=[]", "teach.llm.urls=[]", f"teach.llm.model={model}"]
    settings = settings_of(tmp_path, base, "http://a/v1", *here, "teach.llm.max_tokens=500", "teach.refine_weight=1")
    rows, summary = run(settings)
    assert len(rows) == TAUGHT and summary["targets"] == {"refine": {"correct": TAUGHT}}
    longest = [(folder, arguments["max_model_len"]) for folder, arguments in engine.models]
    assert longest == [(str(model), 2000 + 112), (str(model), 2000 + 500)]
    kinds = [request.kind for request in engine.requests]
    assert kinds == ["candidate 0"] * 3 * TAUGHT + ["refine"] * TAUGHT
    assert {request.is_tokens for request in engine.requests if request.kind == "candidate 0"} == {True}
    again, _ = run(settings)
    assert again == rows and len(engine.requests) == 4 * TAUGHT
