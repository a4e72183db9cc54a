"""The chain: its steps, the run folder's owner, its processes, and the variants of a recipe."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from composed import changed, composed

from gsr_rl.episode import Episode, Response, write_episodes
from gsr_rl.errors import UsageError
from gsr_rl.report.runs import group, read_runs
from gsr_rl.settings.compose import load_settings
from gsr_rl.settings.settings import Settings
from gsr_rl.settings.variants import share
from gsr_rl.stages import chain, records
from gsr_rl.stages.chain import describe, steps


def claim(settings: Settings, stage: str) -> None:
    """The record of a stage, as if it had been made."""
    with records.claimed(settings, stage):
        pass


def stages_of(run_dir: Path, *overrides: str) -> list[tuple[str, str]]:
    settings = changed(composed("quickstart_cpu"), f"run_dir={run_dir}", *overrides)
    return [(step.stage, str(step.result.relative_to(run_dir))) for step in steps(settings)]


def test_every_model_is_evaluated_after_it_is_made(tmp_path: Path) -> None:
    assert stages_of(tmp_path) == [
        ("data", "data/dev.parquet"),
        ("warmup", "warmup/model"),
        ("teach", "teach/train.parquet"),
        ("sft", "sft/model"),
        ("eval", "episodes/base.jsonl"),
        ("eval", "episodes/sft.jsonl"),
        ("train", "model"),
        ("eval", "episodes/grpo.jsonl"),
    ]


def test_what_is_skipped_is_not_evaluated(tmp_path: Path) -> None:
    stages = [stage for stage, _ in stages_of(tmp_path, "skip_stages=[train]", "warmup.steps=0")]
    assert stages == ["data", "teach", "sft", "eval", "eval"]
    assert stages_of(tmp_path, "skip_stages=[sft,train,teach,warmup]") == [
        ("data", "data/dev.parquet"),
        ("eval", "episodes/base.jsonl"),
    ]


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"skip_stages\S*=sfft: must be one of data, warmup"):
        stages_of(tmp_path, "skip_stages=[sfft]")


def test_the_chain_evaluates_its_own_models_whatever_the_recipe_evaluates(tmp_path: Path) -> None:
    """A recipe may say what `gsr-rl eval` does: another model, a sweep, a recursion, benchmarks."""
    at_url = ["eval.server.urls=[http://a/v1]", "eval.server.model=m", "eval.tokenizer=t"]
    others = ["eval.refiner.model=r", "eval.reward_model.model=s", "eval.benchmarks=[aime24]"]
    for recipe in (["eval.sweep=[2]", "eval.pool=3", *others], ["eval.population=9", "eval.rounds=2", *at_url]):
        settings = changed(composed("quickstart_cpu"), f"run_dir={tmp_path}", *recipe)
        for step in steps(settings):
            if step.stage == "eval":
                section = changed(settings, *step.overrides).eval
                assert section.model == (None if section.name == "base" else str(step_model(tmp_path, section.name)))
                assert section.benchmarks is section.sweep is section.pool is section.population is None
                assert section.refiner.model is section.reward_model.model is section.server.model is None
                assert section.rounds == 1 and section.server.urls == []


def step_model(run_dir: Path, name: str | None) -> Path:
    return run_dir / "model" if name == "grpo" else run_dir / "sft" / "model"


# --- the owner of a run folder ----------------------------------------------------------------------------------------


def test_the_settings_of_another_composition_are_the_same(tmp_path: Path) -> None:
    """What a record compares does not depend on the process, or on what was composed before."""
    overrides = [f"run_dir={tmp_path / 'run'}", "gsr.k=3", f"base_model={tmp_path}"]
    claim(load_settings("quickstart_cpu", overrides), "teach")
    load_settings("gsr_qwen3_1_7b")
    records.check(load_settings("quickstart_cpu", overrides), "teach")


def test_a_start_describes_what_the_run_is_made_from(tmp_path: Path) -> None:
    """By run.json the report knows repeats: it holds the settings that results depend on, and no others."""
    run_dir = tmp_path / "run"
    describe(changed(composed("quickstart_cpu"), f"run_dir={run_dir}", "gsr.k=3", "trainer.save_freq=7"))
    description = json.loads((run_dir / "run.json").read_text())
    assert description["layout"] == 2
    assert description["settings"]["gsr.k"] == "3"
    assert "trainer.save_freq" not in description["settings"]
    assert "save_freq: 7" in (run_dir / "config.yaml").read_text()


def test_runs_that_differ_in_their_seed_are_repeats_for_the_report(tmp_path: Path) -> None:
    episode = Episode("x", "d", "P", "1", (Response("t", "1", True),))
    for name, overrides in {"a": ["gsr.seed=1"], "b": ["gsr.seed=2"], "c": ["gsr.seed=1", "gsr.k=5"]}.items():
        describe(changed(composed("quickstart_cpu"), f"run_dir={tmp_path / name}", *overrides))
        write_episodes(tmp_path / name / "episodes" / "base.jsonl", [episode])
    groups = group(read_runs([tmp_path / name for name in "abc"]))
    assert [[run.name for run in repeats.runs] for repeats in groups] == [["a", "b"], ["c"]]


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_stage_ends_with_the_chain(tmp_path: Path, how: signal.Signals) -> None:
    """The chain is interrupted, or killed, while its first stage runs: both end, with an exit code of their own."""
    stage = "import time; print('started', flush=True); time.sleep(600)"
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import gsr_rl.stages.chain as chain\n"
        "from gsr_rl.settings.run_folder import RunFolder\n"
        "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        f"sys.executable = {str(tmp_path / 'python')!r}\n"
        f"chain._command(RunFolder(Path({str(tmp_path)!r})), 'data', [])\n"
    )
    stand_in = tmp_path / "python"
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{stage}"\n')
    stand_in.chmod(0o755)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None and process.stdout.readline() == b"started\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(how)
    assert process.wait(timeout=60) != 0
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline


# --- variants ---------------------------------------------------------------------------------------------------------


def test_variants_differ_by_their_overrides_and_share_what_they_reuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"
    settings = composed("ablations_cpu", f"run_dir={root}")
    assert settings.teach.refine_weight == 0.7 and settings.variants is not None
    commands: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(chain, "check", lambda settings: None)
    monkeypatch.setattr(chain, "base_model", lambda settings: "base")
    monkeypatch.setattr(chain, "_command", lambda folder, stage, arguments: commands.append((stage, list(arguments))))
    chain.run(settings, ["recipe=ablations_cpu", f"run_dir={root}", "gsr.seed=3"])
    own = {arguments[-2].rpartition("/")[2]: arguments for stage, arguments in commands if stage == "run"}
    assert list(own) == ["sft_direct", "sft_refine", "grpo_direct"]
    recipe, *overrides = own["sft_refine"]
    variant = load_settings(recipe.removeprefix("recipe="), overrides)
    assert (variant.teach.refine_weight, variant.run_dir, variant.variants) == (1, str(root / "sft_refine"), None)
    assert variant.gsr.seed == 3 and variant.skip_stages == ["train"]
    reports = [arguments for stage, arguments in commands if stage == "report"]
    assert reports[0] == [str(root)] and reports[1][-2:] == ["--out", str(root / "variants")]


def test_what_a_variant_reuses_is_linked(tmp_path: Path) -> None:
    root = tmp_path / "run"
    (root / "data").mkdir(parents=True)
    (root / "data" / "dev.parquet").touch()
    variants = composed("ablations_cpu").variants
    assert variants is not None
    share(root, "sft_refine", variants["sft_refine"].reuse)
    share(root, "sft_refine", variants["sft_refine"].reuse)  # a second start
    assert [path.name for path in (root / "sft_refine").iterdir()] == ["data"]  # the rest is not there yet
    assert (root / "sft_refine" / "data" / "dev.parquet").exists()
    # A run that is moved as a whole stays whole.
    root.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "sft_refine" / "data" / "dev.parquet").exists()


def test_a_variant_that_shares_what_nobody_makes() -> None:
    said = r"variants.sft_direct.reuse\S*=sfft: must be one of data, warmup, teach, base, sft"
    with pytest.raises(UsageError, match=said):
        changed(composed("ablations_cpu"), "variants.sft_direct.reuse=[data,sfft]")
