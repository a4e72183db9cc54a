"""`--dry-run` of every recipe: no model, no data, no accelerator."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from composed import changed, composed

from gsr_rl import cli
from gsr_rl.settings.recipes import recipe_names
from gsr_rl.stages.dry_run import derived


def arguments(folder: Path, recipe: str, *overrides: str) -> list[str]:
    return ["run", f"recipe={recipe}", f"run_dir={folder}", "--dry-run", *overrides]


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a laptop: no platform is chosen, and no hub can be reached."""
    monkeypatch.delenv("VERL_PLATFORM", raising=False)


def check_passed(folder: Path, out: str) -> None:
    assert [path.name for path in folder.iterdir()] == ["dry_run.yaml"]
    saved = yaml.safe_load((folder / "dry_run.yaml").read_text())
    assert saved["gsr"]["seed"] == 7
    assert saved["data"]["train_files"] == f"{folder}/data/train.parquet"  # resolved
    assert saved["sft"]["optim"]["lr"] > 0
    assert "optimizer steps a training step:" in out
    assert "not checked:" in out
    assert out.rstrip().endswith("dry_run.yaml")


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_passes_and_nothing_but_the_configuration_is_written(
    tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments(tmp_path / "run", recipe, "gsr.seed=7")) == 0
    check_passed(tmp_path / "run", capsys.readouterr().out)


def test_the_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gsr_rl.cli", *arguments(tmp_path / "run", "quickstart_cpu", "gsr.seed=7")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    check_passed(tmp_path / "run", done.stdout)


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("gsr.m=1", "gsr.m=1"),
        ("eval.rounds=2", "eval.population=None"),
        ("data.train_batch_size=100000", "transfer_queue"),
        ("actor_rollout_ref.actor.loss_agg_mode=nonsense", "loss_agg_mode"),
        ("actor_rollout_ref.actor.optim.lr=abc", "actor_rollout_ref.actor.optim.lr='abc': must be a number"),
        ("sft.optim.lr=abc", "sft.optim.lr='abc': must be a number"),
        ("trainer.save_freq=-1", "trainer.save_freq=-1: must be at least 1"),
    ],
)
def test_what_a_run_would_refuse_is_refused(
    tmp_path: Path, override: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mini_batch = "actor_rollout_ref.actor.ppo_mini_batch_size=2"
    assert cli.main(arguments(tmp_path / "run", "quickstart_cpu", mini_batch, override)) == 2
    assert part in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_derived_numbers_worked_out_by_hand() -> None:
    settings = changed(
        composed("quickstart_cpu"),
        *[
            *("gsr.k=5", "gsr.m=2", "gsr.refine_weight=0.25", "gsr.candidate_tokens=30", "gsr.refinement_tokens=40"),
            *("data.train_batch_size=12", "actor_rollout_ref.actor.ppo_mini_batch_size=4", "problems.train=100"),
            *("data.max_prompt_length=50", "actor_rollout_ref.rollout.prompt_length=200"),
            *("trainer.total_training_steps=null", "trainer.total_epochs=3"),
            *("teach.problems=20", "teach.pool=6", "teach.sets_per_problem=4", "teach.tries=3"),
            "gsr.selection=all",
            *("eval.sweep=[2,6]", "gsr.validation.m=3", "eval.repeats=4"),
        ],
    )
    numbers = derived(settings)
    assert numbers["candidate rows a step"] == "60 in 12 groups of 5"
    assert numbers["refinement rows a step"] == "24 in 12 groups of 2"
    assert numbers["optimizer steps a training step"] == 3
    assert numbers["training steps"] == "24 (3 epochs of 8)"
    assert str(numbers["rows in verl's queue"]).startswith("96 at most")  # and one more a prompt
    assert numbers["most tokens of a row"] == 240
    assert numbers["tokens of a step, at most"] == 60 * 80 + 24 * 240
    assert numbers["candidates of the student"] == "120, and 80 sets of 5 of them"
    assert numbers["targets of the teacher"] == "100 direct, 80 refinements, in 3 tries each at most (oracle)"
    assert numbers["responses to a problem in eval"] == "candidates 7, refinements 6, repeats 4"
    assert numbers["weights of the stages in the loss"] == "0.75 candidates, 0.25 refinements"


def test_with_hard_sets_first_the_rows_of_refinements_are_a_bound() -> None:
    overrides = ["gsr.selection=hard_first", "gsr.m=4", "data.train_batch_size=16"]
    settings = changed(composed("quickstart_cpu"), *overrides)
    numbers = derived(settings)
    assert numbers["refinement rows a step"] == "64 in 16 groups of 4 at most"


def test_without_weight_in_the_loss_nothing_is_refined_in_training() -> None:
    changes = ["gsr.refine_weight=0", "teach.refine_weight=0", "gsr.k=4", "gsr.m=4", "gsr.candidate_tokens=30"]
    batch = ["data.train_batch_size=10", "data.max_prompt_length=50"]
    settings = changed(composed("quickstart_cpu"), *changes, *batch)
    numbers = derived(settings)
    assert numbers["candidate rows a step"] == "40 in 10 groups of 4"
    assert numbers["refinement rows a step"] == 0
    assert numbers["tokens of a step, at most"] == 40 * 80
    assert str(numbers["targets of the teacher"]).startswith("640 direct, 0 refinements")
