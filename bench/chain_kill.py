"""`gsr-rl run`, killed with SIGKILL once in every stage and started again with the same command.

    python bench/chain_kill.py FOLDER [key=value ...]

The chain and the stage's command are killed; whatever else they started has to end by itself. Exit code 1 if anything
of a killed start is still there a minute later, if a step was logged twice or not at all, if a training has two W&B
runs, or if a journal holds an answer twice.
"""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TextIO

import psutil

from gsr_rl.files import read_jsonl
from gsr_rl.stages.logs import read_logs

# A stage, the result of the stage before it, and what the stage prints when it is under way.
MOMENTS = (
    ("data", "", "gsr-rl run: data"),
    ("warmup", "data/dev.parquet", r"step:[3-9] "),
    ("teach", "warmup/model", r"gsr-rl teach: candidates: [1-9]"),
    ("sft", "teach/train.parquet", r"step:[5-9] "),
    ("eval of base", "sft/model", r"gsr-rl eval: [1-9]\d* of .*requests/s"),
    ("eval of sft", "episodes/base.jsonl", r"gsr-rl eval: [1-9]\d* of .*requests/s"),
    ("train", "episodes/sft.jsonl", r"step:[3-9] "),
    ("eval of grpo", "model", r"gsr-rl eval: [1-9]\d* of .*requests/s"),
    ("report", "episodes/grpo.jsonl", "gsr-rl run: report"),
)
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
    """The differences from an undisturbed run."""
    found: list[str] = []
    for stage in ("warmup", "sft", "train"):
        folder = root / stage
        # Step 0 is GRPO's validation before the first update.
        steps = [row["step"] for row in read_logs(folder, stage) if row["step"] > 0]
        if steps != list(range(1, len(steps) + 1)):
            found.append(f"{stage}: steps {steps}")
        ids = {path.name.split("-")[-1] for path in folder.glob("wandb/offline-run-*")}
        if len(ids) != 1:
            found.append(f"{stage}: W&B runs {sorted(ids)}")
    for journal in (root / "teach" / "answers.jsonl", *root.glob("eval/*.answers.jsonl")):
        keys = [row["key"] for _, row in read_jsonl(journal)]
        if len(set(keys)) < len(keys):
            found.append(f"{journal}: {len(keys) - len(set(keys))} answers twice")
    stages = [stage["name"] for stage in json.loads((root / "report.json").read_text())["stages"]]
    return found if stages == ["base", "sft", "grpo"] else [*found, f"report of {stages}"]


def main() -> int:
    root, overrides = Path(sys.argv[1]).resolve(), sys.argv[2:]
    arguments = ["recipe=quickstart_cpu", f"run_dir={root}", *overrides]
    root.parent.mkdir(parents=True, exist_ok=True)
    bad: list[str] = []
    for number, (stage, result, text) in enumerate(MOMENTS, start=1):
        mark, log = uuid.uuid4().hex, root.with_name(f"{root.name}.start-{number}.log")
        with log.open("w") as output:
            process = start(arguments, mark, output)
            reach(process, log, root / result, text)
            took, left = kill(process, mark)
        bad += [f"{stage}: left {left}"] if left else []
        print(f"{stage}: killed; all of it had ended {took:.1f} s later; left: {left or 'nothing'}", flush=True)
    with root.with_name(f"{root.name}.last-start.log").open("w") as output:
        code = start(arguments, uuid.uuid4().hex, output).wait()
    bad += [f"the last start ended with exit code {code}"] if code else faults(root)
    print("\n".join(bad) or "every step once, one W&B run a training, the whole report")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
