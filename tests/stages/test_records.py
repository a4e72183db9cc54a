"""A result belongs to what it was made from: settings, inputs, models; anything else is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.cli import main
from gsr_rl.errors import UsageError
from gsr_rl.files import locked
from gsr_rl.settings.compose import load_settings
from gsr_rl.settings.settings import Settings
from gsr_rl.stages import records
from gsr_rl.stages.chain import check_results


def claim(settings: Settings, stage: str) -> None:
    """The record of a stage, as if it had been made."""
    with records.claimed(settings, stage):
        pass


def settings(root: Path, *overrides: str) -> Settings:
    return load_settings("quickstart_cpu", [f"run_dir={root}", f"base_model={root.parent / 'base'}", *overrides])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    model(tmp_path / "base", b"base")
    return tmp_path / "run"


def model(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def small(root: Path, *more: str) -> list[str]:
    sizes = ["problems.train=20", "problems.dev=4", "problems.held_out=6"]
    return ["data", "recipe=quickstart_cpu", f"run_dir={root}", *sizes, *more]


def test_data_made_with_another_seed_is_refused_and_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(small(root)) == 0
    before = {path.name: path.read_bytes() for path in (root / "data").iterdir()}
    assert main(small(root, "problems.seed=1")) == 2
    said = capsys.readouterr().err
    assert "problems.seed: 0 -> 1" in said and "--redo data" in said and said.count("\n") == 1
    assert {path.name: path.read_bytes() for path in (root / "data").iterdir()} == before
    assert main(small(root)) == 0  # the same settings are taken
    assert main([*small(root, "problems.seed=1"), "--redo", "data"]) == 0
    assert (root / "data" / "train.jsonl").read_bytes() != before["train.jsonl"]


def test_the_contents_of_a_problem_file_belong_to_its_splits(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    rows = [{"id": str(i), "problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"problems.source={file}"
    assert main(small(root, source)) == 0
    file.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    assert main(small(root, source)) == 2


def test_added_and_removed_keys_are_changes(root: Path) -> None:
    claim(settings(root), "teach")
    added = settings(root, "+data.apply_chat_template_kwargs.enable_thinking=False")
    with pytest.raises(UsageError, match=r"data.apply_chat_template_kwargs.enable_thinking: nothing -> False"):
        records.check(added, "teach")
    records.redo(added, "teach")
    claim(added, "teach")
    with pytest.raises(UsageError, match=r"enable_thinking: False -> nothing"):
        records.check(settings(root), "teach")


@pytest.mark.parametrize(
    ("stage", "override", "said"),
    [
        ("teach", "gsr.k=3", "gsr.k: 4 -> 3"),
        ("teach", "teach.pool=8", "teach.pool: None -> 8"),
        ("sft", "sft.optim.lr=1e-5", "sft.optim.lr: 0.0003 -> 1e-05"),
        ("train", "trainer.total_training_steps=99", "trainer.total_training_steps: 8 -> 99"),
        ("train", "gsr.refine_weight=0.5", "gsr.refine_weight: 0.8 -> 0.5"),
    ],
)
def test_a_stage_made_with_other_settings_is_refused(root: Path, stage: str, override: str, said: str) -> None:
    claim(settings(root), stage)
    with pytest.raises(UsageError) as error:
        records.check(settings(root, override), stage)
    assert said in str(error.value)
    assert f"--redo {stage}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override",
    [
        "trainer.save_freq=1",
        "trainer.logger=[console]",
        "ray_kwargs.ray_init.num_cpus=3",
        "teach.llm.concurrency=7",
        "generation.backend=server",
        "skip_stages=[train]",
    ],
)
def test_operational_keys_may_change(root: Path, override: str) -> None:
    before, after = settings(root), settings(root, override)
    for stage in ("data", "warmup", "teach", "sft", "train"):
        claim(before, stage)
        records.check(after, stage)


def test_weights_that_changed_behind_a_path_are_seen(root: Path) -> None:
    claim(settings(root), "teach")
    records.check(settings(root), "teach")
    model(root.parent / "base", b"others")
    with pytest.raises(UsageError, match="model: base, "):
        records.check(settings(root), "teach")


def test_a_training_is_told_from_which_model_it_started(root: Path) -> None:
    model(root / "warmup" / "model", b"warmup")
    claim(settings(root), "train")
    assert records.read(root / "train" / "record.json").inputs["model"].partition(",")[0] == "warmup"
    model(root / "sft" / "model", b"sft")  # the SFT that was left out came later
    with pytest.raises(UsageError, match=r"model: warmup, \w+ -> sft, \w+"):
        records.check(settings(root), "train")


def test_a_stage_is_not_started_on_results_of_other_settings(root: Path) -> None:
    claim(settings(root), "data")
    with pytest.raises(UsageError, match=r"problems.train: 640 -> 10"):
        records.check_earlier(settings(root, "problems.train=10"), "train")
    records.check_earlier(settings(root, "data.train_batch_size=8"), "train")


def test_the_chain_refuses_before_it_starts_and_rewrites_nothing(root: Path) -> None:
    claim(settings(root), "data")
    claim(settings(root), "teach")
    overrides = [f"run_dir={root}", f"base_model={root.parent / 'base'}", "teach.pool=8"]
    with pytest.raises(UsageError, match=r"teach.pool: None -> 8"):
        check_results(load_settings("quickstart_cpu", overrides), "quickstart_cpu", overrides)
    assert not (root / "config.yaml").exists()


def test_a_redo_removes_the_stage_and_all_that_depend_on_it(root: Path) -> None:
    for folder in ("data", "warmup", "teach", "sft", "train", "episodes", "eval", "model"):
        (root / folder).mkdir(parents=True)
    records.redo(settings(root), "teach")
    assert sorted(path.name for path in root.iterdir()) == ["data", "warmup"]


def test_another_version_of_a_package_is_named_and_taken(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim(settings(root), "data")
    path = root / "data" / "record.json"
    record: dict[str, Any] = json.loads(path.read_text())
    record["versions"]["verl"] = "0.0.1"
    path.write_text(json.dumps(record))
    records.check(settings(root), "data")
    assert "verl 0.0.1, here is 0.9.1" in capsys.readouterr().out


def test_a_torn_record_is_named(root: Path) -> None:
    claim(settings(root), "data")
    (root / "data" / "record.json").write_text('{"settings": {')
    with pytest.raises(UsageError, match="not a record of a stage"):
        records.check(settings(root), "data")


def test_two_runs_in_one_folder_at_a_time_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(root / ".lock"):
        assert main(small(root)) == 2
    assert "is at work here" in capsys.readouterr().err
    assert not (root / "data").exists()


def test_a_dry_run_owns_nothing(root: Path) -> None:
    assert main([*small(root), "--dry-run"]) == 0
    assert main(small(root, "problems.seed=1")) == 0
