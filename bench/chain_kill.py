"""`gsr-rl run`, killed with SIGKILL in every stage and at the ends of epochs, beside an undisturbed run.

    python bench/chain_kill.py FOLDER [key=value ...]

The chain and the stage's command are killed and started again with the same command, whatever else they started has to
end by itself. Exit code 1 if anything of a killed start is still there a minute later, if a training has two W&B runs,
if a journal holds an answer twice, or if the killed run differs from the undisturbed run in FOLDER-undisturbed: in the
steps of a training, in the losses of SFT, in the metrics that GRPO logs at a step, or in a final figure by more than
both intervals allow.
"""

import json
import math
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, TextIO

import psutil

from gsr_rl.episode import CHAIN_MODELS
from gsr_rl.files import read_jsonl
from gsr_rl.stages.logs import read_logs

# 32 problems are four batches. A checkpoint at every second step is in turn in the middle and at the end of an epoch.
SMALL = (
    *("problems.train=32", "problems.dev=8", "problems.held_out=64", "teach.problems=32", "teach.val_share=0"),
    *("warmup.steps=16", "sft.trainer.total_training_steps=16", "sft.trainer.save_freq=2"),
    *("data.train_batch_size=8", "trainer.total_training_steps=8", "trainer.save_freq=2", "trainer.test_freq=2"),
)
ASKED = r"gsr-rl eval: [1-9]\d* of .*requests/s"
# A stage, the result of the stage before it, and what the stage prints when it is under way; or the step of a
# checkpoint, after which it is killed.
MOMENTS: tuple[tuple[str, str, str | int], ...] = (
    ("data", "", "gsr-rl run: data"),
    ("warmup", "data/dev.parquet", r"step:3 "),
    ("warmup", "data/dev.parquet", 8),
    ("teach", "warmup/model", r"gsr-rl teach: candidates: [1-9]"),
    ("sft", "teach/train.parquet", r"step:[5-9] "),
    ("sft", "teach/train.parquet", 12),
    ("eval of base", "sft/model", ASKED),
    ("eval of sft", "episodes/base.jsonl", ASKED),
    ("train", "episodes/sft.jsonl", r"step:3 "),
    ("train", "episodes/sft.jsonl", 4),
    ("eval of grpo", "model", ASKED),
    ("report", "episodes/grpo.jsonl", "gsr-rl run: report"),
)
TRAININGS = ("warmup", "sft", "train")
LOSS = "train/loss"
MARK = "CHAIN_KILL"
LEFT_S = 60.0


def start(arguments: list[str], mark: str, log: TextIO) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gsr_rl.cli", "run", *arguments]
    return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {MARK: mark}, start_new_session=True)


def of_start(mark: str) -> list[psutil.Process]:
    """All living processes that descend from the start `mark`, whatever their parent is by now."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def reach(process: subprocess.Popen[bytes], log: Path, result: Path, text: str) -> None:
    """Wait until `result` is there and `text` has been printed since."""
    since = 0 if result.exists() else None
    while process.poll() is None:
        if since is None and result.exists():
            since = log.stat().st_size
        if since is not None and re.search(text, log.read_bytes()[since:].decode(errors="replace")):
            return
        time.sleep(0.2)
    raise SystemExit(f"ended with exit code {process.returncode} before {text!r}; see {log}")


def reach_checkpoint(process: subprocess.Popen[bytes], log: Path, checkpoints: Path, step: int) -> None:
    """Wait until a checkpoint of that step, or of a later one, is whole."""
    tracker = checkpoints / "latest_checkpointed_iteration.txt"
    while process.poll() is None:
        if tracker.exists() and int(tracker.read_text() or 0) >= step:
            return
        time.sleep(0.2)
    raise SystemExit(f"ended with exit code {process.returncode} before the checkpoint of step {step}; see {log}")


def kill(process: subprocess.Popen[bytes], mark: str) -> tuple[float, list[str]]:
    """Kill chain and stage; returns the seconds until nothing of them is left, and what is left a minute later."""
    stages = psutil.Process(process.pid).children()
    for victim in (process, *stages):
        victim.kill()
    process.wait()
    began = time.monotonic()
    while (left := of_start(mark)) and time.monotonic() - began < LEFT_S:
        time.sleep(0.2)
    return time.monotonic() - began, [left_over.name() for left_over in left]


def faults(root: Path) -> list[str]:
    """What a run that was killed must not have: W&B runs of its starts, and answers that were asked for twice."""
    found: list[str] = []
    for stage in TRAININGS:
        ids = {path.name.split("-")[-1] for path in (root / stage).glob("wandb/offline-run-*")}
        if len(ids) != 1:
            found.append(f"{stage}: W&B runs {sorted(ids)}")
    for journal in (root / "teach" / "answers.jsonl", *root.glob("eval/*.answers.jsonl")):
        keys = [row["key"] for _, row in read_jsonl(journal)]
        if len(set(keys)) < len(keys):
            found.append(f"{journal}: {len(keys) - len(set(keys))} answers twice")
    return found


def differences(root: Path, undisturbed: Path) -> list[str]:
    """What the killed run has otherwise than the undisturbed run."""
    found: list[str] = []
    for stage in TRAININGS:
        was, now = ({row["step"]: row["data"] for row in read_logs(of / stage, stage)} for of in (undisturbed, root))
        if was.keys() != now.keys():
            found.append(f"{stage}: steps {sorted(now)} instead of {sorted(was)}")
        for step in was.keys() & now.keys():
            if missing := was[step].keys() - now[step].keys():
                found.append(f"{stage}: step {step} lacks {sorted(missing)}")
            losses = was[step].get(LOSS, 0.0), now[step].get(LOSS, 0.0)
            # After a resume GRPO's rollouts are others.
            if stage != "train" and not math.isclose(*losses, rel_tol=0.02):
                found.append(f"{stage}: step {step} has the loss {losses[1]} instead of {losses[0]}")
    for name in CHAIN_MODELS:
        was, now = (json.loads((of / f"episodes/{name}.metrics.json").read_text()) for of in (undisturbed, root))
        found += [f"{name}: {line}" for line in _far_apart(was, now)]
    return found


def _far_apart(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The figures whose intervals do not meet."""
    found: list[str] = []
    for dataset, figures in was.items():
        for key, (low, high) in figures["ci"].items():
            others = now[dataset]["ci"][key]
            if low > others[1] or high < others[0]:
                found.append(f"{key} {now[dataset][key]} instead of {figures[key]}")
    return found


def main() -> int:
    root, overrides = Path(sys.argv[1]).resolve(), [*SMALL, *sys.argv[2:]]
    undisturbed = root.with_name(f"{root.name}-undisturbed")
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_name(f"{undisturbed.name}.log").open("w") as output:
        start(["recipe=quickstart_cpu", f"run_dir={undisturbed}", *overrides], uuid.uuid4().hex, output).wait()
    print("the undisturbed run has ended", flush=True)
    arguments, bad = ["recipe=quickstart_cpu", f"run_dir={root}", *overrides], []
    for number, (stage, result, sign) in enumerate(MOMENTS, start=1):
        mark, log = uuid.uuid4().hex, root.with_name(f"{root.name}.start-{number}.log")
        with log.open("w") as output:
            process = start(arguments, mark, output)
            if isinstance(sign, int):
                reach_checkpoint(process, log, root / stage / "checkpoints", sign)
            else:
                reach(process, log, root / result, sign)
            took, left = kill(process, mark)
        bad += [f"{stage}: left {left}"] if left else []
        print(f"{stage}: killed; all of it had ended {took:.1f} s later; left: {left or 'nothing'}", flush=True)
    with root.with_name(f"{root.name}.last-start.log").open("w") as output:
        code = start(arguments, uuid.uuid4().hex, output).wait()
    bad += [f"the last start ended with exit code {code}"] if code else faults(root) + differences(root, undisturbed)
    print("\n".join(bad) or "the same steps, metrics and figures as undisturbed; one W&B run a training")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
