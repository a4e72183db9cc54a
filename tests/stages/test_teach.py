"""Stage `teach` with servers as student and teacher, from the recipe's keys to the rows."""

import copy
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from gsr_rl.settings.sections import servers_owed, teach_config
from omegaconf import OmegaConf
from scripted_server import MODEL, Act, Body, ScriptedServer, completion, faulty, of_messages_and_seed
from tiny import tiny_tokenizer

from data_prep.problems import load_problems
from data_prep.rows import SftRow, read_sft_rows
from gsr_rl.episode import read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.generation.journal import Journal
from gsr_rl.settings.compose import load_recipe
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.stages import data, teach
from gsr_rl.stages.chain import claim
from gsr_rl.stages.preflight import check, needs_device

REPO = Path(__file__).parent.parent.parent
TRAIN, TAUGHT = 12, 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a model as is read where others sample: its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


@pytest.fixture(scope="module")
def base(model: Path) -> Any:
    return load_recipe(
        "quickstart_cpu",
        [
            *(f"base_model={model}", "actor_rollout_ref.rollout.prompt_length=2000", "gsr.k=3", "teach.teacher=llm"),
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=4096",
            *(f"problems.train={TRAIN}", "problems.dev=2", "problems.held_out=2", f"teach.problems={TAUGHT}"),
            *(f"teach.student.model={MODEL}", "teach.student.retry_s=0.01"),
            *(f"teach.llm.model={MODEL}", "teach.llm.retry_s=0.01"),
        ],
    )


def recipe(run_dir: Path, base: Any, url: str, *overrides: str) -> Any:
    config = copy.deepcopy(base)
    served = [f"teach.student.urls=[{url}]", f"teach.llm.urls=[{url}]"]
    for override in (f"run_dir={run_dir}", *served, *overrides):
        key, _, value = override.partition("=")
        OmegaConf.update(config, key, yaml.safe_load(value))
    return config


def teacher_and_student(body: Body) -> Act:
    """The student knows the first pair alone; the teacher knows the right one. As the puzzle is the only thing in which
    they differ, the student is known by its limit of tokens (gsr.candidate_tokens)."""
    puzzle = next(line for line in body["messages"][-1]["content"].split("\n") if line.startswith("Which two"))
    numbers = [int(word.strip(",")) for word in puzzle.split(" add up")[0].split(" of ")[1].split()]
    total = int(puzzle.split("add up to ")[1].split("?")[0])
    if body["max_tokens"] == 28:
        return completion(f"\\boxed{{({numbers[0]}, {numbers[1]})}} {body['seed'] % 2}")
    first, second = next((a, b) for a in numbers for b in numbers if a < b and a + b == total)
    return completion(f"I see. \\boxed{{({first}, {second})}}", reasoning_content="hm")


def run(config: Any) -> tuple[list[SftRow], dict[str, Any]]:
    folder = RunFolder.of(config)
    if not folder.problems("train").exists():
        data.run(config)
    teach.run(config)
    return read_sft_rows(folder.sft_rows("sft")), json.loads(folder.teach_summary.read_text())


def test_candidates_targets_and_what_is_said_of_them(
    tmp_path: Path, base: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(teacher_and_student) as server:
        prices = ["teach.llm.price_in=1000", "teach.llm.price_out=100000"]
        config = recipe(tmp_path, base, server.url, "teach.refine_weight=1", "teach.thinking=keep", *prices)
        rows, summary = run(config)
    folder = RunFolder.of(config)
    problems = {one.id: one for one in load_problems(folder.problems("train"))}
    sets = read_episodes(folder.candidates)
    assert [one.id for one in sets] == [one.id for one in read_episodes(folder.pool)] == list(problems)[:TAUGHT]
    for one in sets:
        first_two = one.problem.split(" of ")[1].split(" add")[0].split(", ")[:2]
        assert {candidate.answer for candidate in one.candidates} == {f"({', '.join(first_two)})"}
        assert {candidate.correct for candidate in one.candidates} == {one.gold == f"({', '.join(first_two)})"}
    # All rows of a set are its refinement, since teach.refine_weight is 1.
    assert sorted(row.id for row in rows) == sorted(list(problems)[:TAUGHT])
    for row in rows:
        assert row.kind == "refine"
        assert row.response == f"<think>\nhm\n</think>\n\nI see. \\boxed{{{problems[row.id].gold}}}"
        assert problems[row.id].problem in row.prompt and row.prompt.count("Solution ") == 3
    right = sum(one.candidates[0].correct for one in sets)
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
    assert f"problems by their correct candidates, from none to all: [{TAUGHT - right}, 0, 0, {right}]" in out
    assert f"in {TAUGHT - right} of {TAUGHT} candidate sets all were wrong; rows in {folder.sft_rows('sft')}" in out


def test_the_rows_are_the_same_whatever_the_timing(tmp_path: Path, base: Any) -> None:
    overrides = ["teach.pool=4", "teach.sets_per_problem=3", "teach.keep=all", "teach.tries=2"]
    with ScriptedServer() as server:
        rows, summary = run(recipe(tmp_path / "a", base, server.url, *overrides))
    with ScriptedServer(faulty(0.3), delay=0.003) as server:
        limits = ["teach.llm.timeout_s=0.5", "teach.student.timeout_s=0.5", "teach.llm.concurrency=3"]
        again, summary_again = run(recipe(tmp_path / "b", base, server.url, *overrides, *limits))
    assert again == rows and summary_again == summary
    assert summary["candidate_sets"] == 3 * TAUGHT and sum(summary["correct_of_pool"]) == TAUGHT
    for name in ("pool", "candidates"):
        assert (tmp_path / "a/teach" / f"{name}.jsonl").read_text() == (
            tmp_path / "b/teach" / f"{name}.jsonl"
        ).read_text()


def test_direct_solutions_of_the_warmup_are_not_asked_for_again(tmp_path: Path, base: Any) -> None:
    with ScriptedServer(teacher_and_student) as server:
        config = recipe(tmp_path, base, server.url)
        data.run(config)
        teach.direct(config)
        assert server.seen == TRAIN
        warmup = read_sft_rows(RunFolder.of(config).sft_rows("warmup"))
        assert [row.kind for row in warmup] == ["direct"] * TRAIN
        run(config)
        assert server.seen == TRAIN + TAUGHT * (3 + 1)
        run(config)
        assert server.seen == TRAIN + TAUGHT * (3 + 1)


def test_the_oracle_can_refine_what_a_server_sampled(tmp_path: Path, base: Any) -> None:
    with ScriptedServer(teacher_and_student) as server:
        rows, summary = run(recipe(tmp_path, base, server.url, "teach.teacher=oracle", "teach.refine_weight=1"))
        assert server.seen == 3 * TAUGHT
    assert all(row.response.startswith("Solution 1: ") for row in rows)
    assert summary["targets"] == {}


def test_a_problem_without_room_for_candidates_has_no_refinement_row(
    tmp_path: Path, base: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(teacher_and_student) as server:
        config = recipe(tmp_path, base, server.url, "teach.refine_weight=0")
        data.run(config)
        train = RunFolder.of(config).problems("train")
        first, *others = train.read_text().splitlines()
        long = json.loads(first)
        long["problem"] += "\n" + "word " * 3000
        train.write_text("\n".join([json.dumps(long), *others]) + "\n")
        _, summary = run(config)
    assert summary["candidate_sets"] == TAUGHT - 1
    assert f"1 problems leave no room for candidates, such as '{long['id']}'" in capsys.readouterr().out


def test_two_runs_on_one_folder_are_refused(tmp_path: Path, base: Any) -> None:
    config = recipe(tmp_path, base, "http://127.0.0.1:1/v1")
    data.run(config)
    with (
        Journal(RunFolder.of(config).answers),
        pytest.raises(UsageError, match=r"answers.lock: process \d+ is at work"),
    ):
        teach.run(config)


def test_where_models_are_served_may_change_from_one_start_to_the_next(tmp_path: Path, base: Any) -> None:
    first = recipe(tmp_path, base, "http://a/v1")
    claim(first)
    (tmp_path / "data").mkdir()
    claim(recipe(tmp_path, base, "http://b/v1", "teach.llm.concurrency=9", "teach.student.api_key_env=OTHER"))
    for override in ("teach.llm.model=other", "teach.llm.temperature=0.1", "teach.keep=all"):
        with pytest.raises(UsageError, match="belongs to another configuration"):
            claim(recipe(tmp_path, base, "http://a/v1", override))


def test_which_servers_a_stage_asks(tmp_path: Path, base: Any) -> None:
    def owed(stage: str, *overrides: str) -> list[str]:
        config = recipe(tmp_path, base, "http://a/v1", *overrides)
        return list(servers_owed(config, stage, teach_config(config)))

    assert owed("run") == owed("teach") == ["teach.student", "teach.llm"]
    assert owed("warmup") == ["teach.llm"]
    assert owed("train") == owed("eval") == owed("data") == owed("run", "skip_stages=[warmup,teach]") == []
    assert owed("run", "teach.teacher=oracle") == ["teach.student"]
    assert owed("run", "skip_stages=[teach]") == ["teach.llm"]  # the direct solutions of the warm-up
    assert owed("run", "skip_stages=[teach]", "warmup.steps=0") == []
    folder = RunFolder.of(recipe(tmp_path, base, "http://a/v1"))
    folder.candidates.parent.mkdir()
    folder.candidates.touch()
    assert owed("teach") == ["teach.llm"]
    folder.sft_rows("sft").touch()
    folder.model("warmup").mkdir(parents=True)
    assert owed("run") == []


def test_a_device_is_needed_where_a_model_runs_here(tmp_path: Path, base: Any) -> None:
    both = recipe(tmp_path, base, "http://a/v1")
    assert not needs_device(both, "teach") and needs_device(both, "train")
    assert needs_device(recipe(tmp_path, base, "http://a/v1", "teach.student.urls=[]"), "teach")
    assert needs_device(recipe(tmp_path, base, "http://a/v1", "teach.llm.urls=[]"), "teach")
    assert not needs_device(recipe(tmp_path, base, "http://a/v1", "teach.llm.urls=[]", "teach.teacher=oracle"), "teach")


@pytest.mark.parametrize("stage", ["run", "teach"])
def test_a_server_is_refused_before_anything_starts(tmp_path: Path, base: Any, stage: str) -> None:
    with ScriptedServer(models=("other",)) as server:
        config = recipe(tmp_path, base, server.url)
        with pytest.raises(UsageError, match=r"does not serve 'toy', but other; set teach.student.model"):
            check(config, stage)
        check(recipe(tmp_path, base, server.url, "teach.student.model=other", "teach.teacher=oracle"), stage)


def test_a_model_to_be_served_is_looked_at_before_anything_starts(tmp_path: Path, base: Any) -> None:
    config = recipe(
        tmp_path,
        base,
        "http://a/v1",
        "teach.llm.urls=[]",
        f"teach.llm.model={tmp_path}",
        "teach.student.model=null",
        "teach.student.urls=[]",
    )
    with pytest.raises(UsageError, match=r"must be a Hugging Face folder with a config.json"):
        check(config, "teach")


# --- the drills of bench/, in small -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "drill", [["teach_faults.py", "--problems=25"], ["teach_kill.py", "--problems=25", "--kills=2", "--concurrency=8"]]
)
def test_drills(drill: list[str]) -> None:
    command = [sys.executable, str(REPO / "bench" / drill[0]), *drill[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same rows in the same order" in done.stdout and ": yes" in done.stdout


def test_an_interrupt_is_told_apart_and_what_is_done_stays(tmp_path: Path) -> None:
    """As Ctrl-C: the process ends by itself, and its journal holds what was answered."""
    enough = threading.Event()

    def handler(body: Body) -> Act:
        if server.seen == 20:
            enough.set()
        return of_messages_and_seed(body)

    with ScriptedServer(handler, delay=0.05) as server:
        command = [sys.executable, str(REPO / "bench" / "teach_work.py"), server.url, f"--folder={tmp_path}"]
        process = subprocess.Popen(
            [*command, "--concurrency=4", "--problems=500"],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
        )
        assert process.stderr is not None
        assert enough.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
        assert "KeyboardInterrupt" in process.stderr.read()
        seen = server.seen
        assert 20 <= seen < 500 * 6
    with Journal(tmp_path / "answers.jsonl") as journal:
        assert seen - 4 <= len(journal) <= seen
