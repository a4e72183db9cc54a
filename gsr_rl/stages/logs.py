"""The logs of a training stage over all its starts: metrics.jsonl, one W&B run, TensorBoard.

verl's file logger truncates its file whenever it starts. And verl gives W&B no run id, so that each start would be
another run. Here each start gets a file of its own, and all starts get the same W&B run id.
"""

import netrc
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from gsr_rl.errors import UsageError
from gsr_rl.files import read_jsonl

LogRow = dict[str, Any]  # {"stage", "step", "data"}


def open_logs(folder: Path) -> dict[str, str]:
    """Rename the log of an earlier start of the stage in `folder`, so that this start can write its own.

    Returns:
        Environment variables for the training processes. Those that the user has set keep their values.
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
    """The log of the stage in `folder`, with each step once.

    A later start drops the steps after its own first step, since it trains them again. Rows of one step are merged by
    key: a training that resumes validates first, and logs that at the checkpoint's own step.

    Raises:
        UsageError: a line is not from verl's file logger; names file and line.
    """
    rows: dict[int, LogRow] = {}
    for path in _starts(folder):
        later = _read(path, stage)
        if later:
            rows = {step: row for step, row in rows.items() if step <= later[0]["step"]}
        for row in later:
            data = rows[row["step"]]["data"] if row["step"] in rows else {}
            rows[row["step"]] = {**row, "data": {**data, **row["data"]}}
    return list(rows.values())


def _starts(folder: Path) -> list[Path]:
    """The files of all starts, in order. The file of the last start has no number."""
    earlier = sorted(folder.glob("metrics.*.jsonl"), key=lambda path: int(path.name.split(".")[1]))
    current = folder / "metrics.jsonl"
    return [*earlier, *([current] if current.exists() else [])]


def _read(path: Path, stage: str) -> list[LogRow]:
    rows: list[LogRow] = []
    for where, row in read_jsonl(path, still_written=True):
        try:
            rows.append({"stage": stage, "step": int(row["step"]), "data": dict(row["data"])})
        except (ValueError, TypeError, KeyError):
            raise UsageError(f"{where}: not a line of verl's file logger; remove it") from None
    return rows


def _wandb_run_id(folder: Path) -> str:
    path = folder / "wandb_run_id"
    if not path.exists():
        path.write_text(uuid.uuid4().hex[:8])
    return path.read_text().strip()


def has_wandb_account() -> bool:
    """Whether W&B would find an API key: in the environment, or in .netrc for the configured host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
