"""The runs that a report is on: what their folders hold, and which of them are repeats of each other."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gsr_rl.episode import read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.report.figures import TRAINED, Evaluation
from gsr_rl.stages.layout import RunFolder
from gsr_rl.stages.logs import LogRow, read_logs

LOGGED = ("warmup", "sft", "train")
SFT_TOKENS, TRAIN_TOKENS = "train/global_tokens", "perf/total_num_tokens"


@dataclass(frozen=True)
class Run:
    """What a run folder holds. `seed` is None, and `recipe` the folder's name, where it has no config.yaml."""

    folder: RunFolder
    recipe: str
    seed: int | None
    evaluations: Sequence[Evaluation]
    log: Sequence[LogRow]
    usage: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.folder.root.name


def read_run(root: Path) -> Run:
    """Read a run, or a folder of evaluations: every `episodes/<name>.jsonl` is a model's.

    Raises:
        UsageError: there are no episodes, or a file is not what it should be.
    """
    folder = RunFolder(root.resolve())
    paths = sorted(folder.root.glob("episodes/*.jsonl"), key=lambda path: _order(path.stem))
    if not paths:
        raise UsageError(
            f"{root}: no episodes/NAME.jsonl to report on; `gsr-rl run recipe=... run_dir={root}` makes them"
        )
    evaluations = [Evaluation.of(path.stem, read_episodes(path)) for path in paths]
    config: Any = OmegaConf.load(folder.config) if folder.config.exists() else OmegaConf.create()
    log = [row for stage in LOGGED for row in read_logs(folder.stage(stage), stage)]
    usage = json.loads(folder.usage.read_text()) if folder.usage.exists() else {}
    recipe = str(config.get("recipe") or folder.root.name)
    return Run(folder, recipe, OmegaConf.select(config, "gsr.seed"), evaluations, log, usage)


def _order(name: str) -> tuple[int, list[tuple[str, int]]]:
    """The stages of training first, in their order; then others by name, step-20 before step-100."""
    parts = [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
    return (TRAINED.index(name) if name in TRAINED else len(TRAINED)), parts


def are_repeats(runs: Sequence[Run]) -> bool:
    """Whether the runs' configurations are known, and the same but for seeds."""
    if not all(run.folder.claim.exists() for run in runs):
        return False
    settings = [json.loads(run.folder.claim.read_text()) for run in runs]
    return all(_without_seeds(one) == _without_seeds(settings[0]) for one in settings)


def _without_seeds(settings: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in settings.items() if not key.endswith("seed")}


def pool(runs: Sequence[Run]) -> list[Evaluation]:
    """Episodes of all runs by stage, of the stages that all have: those of one problem count as its repeats."""
    by_run = [{one.name: one.episodes for one in run.evaluations} for run in runs]
    shared = [name for name in by_run[0] if all(name in one for one in by_run)]
    return [Evaluation.of(name, [episode for one in by_run for episode in one[name]]) for name in shared]


def tokens(log: Sequence[LogRow]) -> dict[str, int | None]:
    """Tokens that the trainers processed, prompts and responses alike; None where a stage was not trained."""
    return {
        "sft_tokens": _sum(row["data"].get(SFT_TOKENS) for row in log if row["stage"] in ("warmup", "sft")),
        "grpo_tokens": _sum(row["data"].get(TRAIN_TOKENS) for row in log if row["stage"] == "train"),
    }


def _sum(values: Iterable[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None
