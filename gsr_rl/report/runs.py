"""The runs that a report is on: what their folders hold, and which of them are repeats of each other."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gsr_rl.episode import read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.report.figures import TRAINED, Evaluation
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.stages.logs import LogRow, read_logs

LOGGED = ("warmup", "sft", "train")
SFT_TOKENS, TRAIN_TOKENS = "train/global_tokens", "perf/total_num_tokens"


@dataclass(frozen=True)
class Run:
    """What a run folder holds. `seed` is None, and `recipe` the folder's name, where it has no config.yaml."""

    name: str
    folder: RunFolder
    recipe: str
    seed: int | None
    evaluations: Sequence[Evaluation]
    log: Sequence[LogRow]
    usage: Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """A run, or runs that repeat each other; of these the stages that all have, with the episodes of all."""

    name: str
    runs: Sequence[Run]
    evaluations: Sequence[Evaluation]

    @property
    def is_repeated(self) -> bool:
        return len(self.runs) > 1


def read_runs(roots: Sequence[Path]) -> list[Run]:
    """Read runs, or folders of evaluations: every `episodes/<name>.jsonl` is a model's.

    Raises:
        UsageError: a folder is given twice or has no episodes, or a file is not what it should be.
    """
    roots = [root.resolve() for root in roots]
    if len(set(roots)) < len(roots):
        raise UsageError(f"report: {max(roots, key=roots.count)} is given twice; name each folder once")
    return [_read_run(root, name) for root, name in zip(roots, _distinct_names(roots), strict=True)]


def _distinct_names(roots: Sequence[Path]) -> list[str]:
    """As few of each folder's last parts as tell it from the others."""
    tails = [["/".join(root.parts[-n:]) for n in range(1, len(root.parts) + 1)] for root in roots]
    shared = Counter(tail for of_root in tails for tail in of_root)
    return [next(tail for tail in of_root if shared[tail] == 1) for of_root in tails]


def _read_run(root: Path, name: str) -> Run:
    folder = RunFolder(root)
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
    return Run(name, folder, recipe, OmegaConf.select(config, "gsr.seed"), evaluations, log, usage)


def _order(name: str) -> tuple[int, list[tuple[str, int]]]:
    """The stages of training first, in their order; then others by name, step-20 before step-100."""
    parts = [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
    return (TRAINED.index(name) if name in TRAINED else len(TRAINED)), parts


def group(runs: Sequence[Run]) -> list[Group]:
    """Runs whose configurations are known, and the same but for seeds, are repeats of each other."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(_settings(run), []).append(run)
    return [Group(_group_name(repeats), repeats, _pool(repeats)) for repeats in found.values()]


def _settings(run: Run) -> str:
    if not run.folder.claim.exists():
        return str(run.folder.root)
    settings: Mapping[str, str] = json.loads(run.folder.claim.read_text())
    return json.dumps({key: value for key, value in settings.items() if not key.endswith("seed")}, sort_keys=True)


def _group_name(repeats: Sequence[Run]) -> str:
    first, *others = repeats
    return f"{first.name} and {len(others)} more" if others else first.name


def _pool(runs: Sequence[Run]) -> Sequence[Evaluation]:
    if len(runs) == 1:
        return runs[0].evaluations
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
