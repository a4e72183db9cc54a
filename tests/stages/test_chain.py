import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import load_recipe
from gsr_rl.settings.variants import overrides, share, variants_of
from gsr_rl.stages.chain import claim, steps


def chain(run_dir: Path, *overrides: str) -> list[tuple[str, str]]:
    config: Any = load_recipe("quickstart_cpu", [f"run_dir={run_dir}", *overrides])
    return [(step.stage, str(step.result.relative_to(run_dir))) for step in steps(config)]


def test_every_model_is_evaluated_after_it_is_made(tmp_path: Path) -> None:
    assert chain(tmp_path) == [
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
    stages = [stage for stage, _ in chain(tmp_path, "skip_stages=[train]", "warmup.steps=0")]
    assert stages == ["data", "teach", "sft", "eval", "eval"]
    assert chain(tmp_path, "skip_stages=[sft,train,teach,warmup]") == [
        ("data", "data/dev.parquet"),
        ("eval", "episodes/base.jsonl"),
    ]


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stage sfft; stages: data, warmup"):
        chain(tmp_path, "skip_stages=[sfft]")


def test_a_run_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    def config(*overrides: str) -> Any:
        given = [f"run_dir={tmp_path / 'run'}", "actor_rollout_ref.actor.optim.lr=2e-5"]
        return load_recipe("quickstart_cpu", [*given, *overrides])

    claim(config("gsr.k=7"))  # whose first stage was refused, so that nothing came of it
    claim(config())
    (tmp_path / "run" / "data").mkdir()
    claim(config("skip_stages=[train]", "trainer.total_training_steps=99"))  # where to go on, and how far
    claim(config("actor_rollout_ref.rollout.dtype=float16"))  # on another processor
    with pytest.raises(UsageError, match=r"run_dir=.*/run: belongs to another configuration \(gsr.k=4, here 5\)"):
        claim(config("gsr.k=5"))
    with pytest.raises(UsageError, match=r"actor_rollout_ref.actor.optim.lr=2e-05, here 1e-07"):
        claim(config("actor_rollout_ref.actor.optim.lr=1e-7"))
    claim(config())  # nothing was overwritten


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


def test_variants_differ_by_their_overrides_and_share_what_they_reuse(tmp_path: Path) -> None:
    root = tmp_path / "run"
    config: Any = load_recipe("ablations_cpu", [f"run_dir={root}"])
    assert config.teach.refine_weight == 0.7
    own = overrides(config, "sft_refine")
    variant: Any = load_recipe("ablations_cpu", [f"run_dir={root}", *own])
    assert (variant.teach.refine_weight, variant.run_dir, variant.variants) == (1, str(root / "sft_refine"), None)
    assert variants_of(variant) == {}

    (root / "data").mkdir(parents=True)
    (root / "data" / "dev.parquet").touch()
    share(root, "sft_refine", variants_of(config)["sft_refine"].reuse)
    share(root, "sft_refine", variants_of(config)["sft_refine"].reuse)  # a second start
    assert [path.name for path in (root / "sft_refine").iterdir()] == ["data"]  # the rest is not there yet
    assert (root / "sft_refine" / "data" / "dev.parquet").exists()
    # Moved as a whole, a run stays whole.
    root.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "sft_refine" / "data" / "dev.parquet").exists()


def test_a_variant_that_shares_what_nobody_makes(tmp_path: Path) -> None:
    config = load_recipe("ablations_cpu", [f"run_dir={tmp_path}", "variants.sft_direct.reuse=[data,sfft]"])
    with pytest.raises(UsageError, match=r"variants.sft_direct.reuse: sfft cannot be shared; choose from data, warmup"):
        variants_of(config)
