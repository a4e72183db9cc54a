"""The logs of a training stage over all its starts: metrics.jsonl, one W&B run, TensorBoard.

verl's file logger truncates its file whenever it starts, and verl gives W&B no run id, so that each start would be a
run of its own. Here each start gets a file of its own, and W&B the same id.
"""

import json
import netrc
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from gsr_rl.errors import UsageError

LogRow = dict[str, Any]  # {"stage", "step", "data"}


def open_logs(folder: Path) -> dict[str, str]:
    """Set aside what an earlier start of the stage in `folder` logged, and make room for this one.

    Returns:
        Environment variables of the training processes; what the user has set of them stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "metrics.jsonl"
    if current.exists():
        current.rename(folder / f"metrics.{len(_starts(folder)) - 1}.jsonl")
    ours = {
        "WANDB_RUN_ID": _wandb_run_id(folder),
        "WANDB_RESUME": "allow",
        "WANDB_DIR": str(folder),
        "WANDB_MODE": "online" if has_wandb_account() else "offline",
        "TENSORBOARD_DIR": str(folder / "tensorboard"),
    }
    return {"VERL_FILE_LOGGER_PATH": str(current), **{key: os.environ.get(key, ours[key]) for key in ours}}


def read_logs(folder: Path, stage: str) -> list[LogRow]:
    """What the stage in `folder` has logged, each step once: a later start takes back the steps that it does again.

    Raises:
        UsageError: names file and line where one is not of verl's file logger.
    """
    rows: list[LogRow] = []
    for path in _starts(folder):
        again = _read(path, stage)
        if again:
            rows = [row for row in rows if row["step"] < again[0]["step"]]
        rows += again
    return rows


def _starts(folder: Path) -> list[Path]:
    """The files of all starts, in order; the last one's has no number."""
    earlier = sorted(folder.glob("metrics.*.jsonl"), key=lambda path: int(path.name.split(".")[1]))
    current = folder / "metrics.jsonl"
    return [*earlier, *([current] if current.exists() else [])]


def _read(path: Path, stage: str) -> list[LogRow]:
    rows: list[LogRow] = []
    # A line that is still being written has no end yet.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
            rows.append({"stage": stage, "step": int(row["step"]), "data": dict(row["data"])})
        except (ValueError, TypeError, KeyError):
            raise UsageError(f"{path}:{number}: not a line of verl's file logger; remove it") from None
    return rows


def _wandb_run_id(folder: Path) -> str:
    path = folder / "wandb_run_id"
    if not path.exists():
        path.write_text(uuid.uuid4().hex[:8])
    return path.read_text().strip()


def has_wandb_account() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
