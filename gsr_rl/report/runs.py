"""The runs of a report: the contents of their folders, and which runs are repeats of each other."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gsr_rl.episode import BASE, CHAIN_MODELS, GRPO, SFT, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.metrics.logged import GRPO_TOKENS, SFT_TOKENS
from gsr_rl.report.results import Evaluation
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.stages.logs import LogRow, read_logs
from gsr_rl.stages.records import read

LOGGED = ("warmup", "sft", "train")


@dataclass(frozen=True, kw_only=True)
class Run:
    """The contents of a run folder. Without a config.yaml `seed` is None, and `recipe` is the folder's name.

    `started_from` has by the name of a trained model the evaluated model that its training started from.
    """

    name: str
    folder: RunFolder
    recipe: str
    seed: int | None
    evaluations: Sequence[Evaluation]
    started_from: Mapping[str, str]
    log: Sequence[LogRow]
    usage: Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """A run, or several runs that repeat each other.

    The evaluations of several runs are of the stages that all have, with the episodes of all runs.
    """

    name: str
    runs: Sequence[Run]
    evaluations: Sequence[Evaluation]

    @property
    def is_repeated(self) -> bool:
        """Whether the group has several runs."""
        return len(self.runs) > 1

    @property
    def started_from(self) -> Mapping[str, str]:
        """As of a run; what the runs do not share is left out."""
        first, *others = (run.started_from for run in self.runs)
        return {name: before for name, before in first.items() if all(other.get(name) == before for other in others)}


def read_runs(roots: Sequence[Path]) -> list[Run]:
    """Read runs, or folders of evaluations. Each `episodes/<name>.jsonl` holds the episodes of one model.

    Raises:
        UsageError: a folder is given twice or has no episodes, or a file has the wrong content.
    """
    roots = [root.resolve() for root in roots]
    if len(set(roots)) < len(roots):
        raise UsageError(f"report: {max(roots, key=roots.count)} is given twice; name each folder once")
    return [_read_run(root, name) for root, name in zip(roots, _distinct_names(roots), strict=True)]


def _distinct_names(roots: Sequence[Path]) -> list[str]:
    """For each folder the shortest end of its path that no other folder shares."""
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
    return Run(
        name=name,
        folder=folder,
        recipe=recipe,
        seed=OmegaConf.select(config, "gsr.seed"),
        evaluations=evaluations,
        started_from=_started_from(folder, [evaluation.name for evaluation in evaluations]),
        log=log,
        usage=usage,
    )


def _started_from(folder: RunFolder, evaluated: Sequence[str]) -> dict[str, str]:
    """As the records of the trainings tell; without a record each model of the chain from the evaluated one before."""
    chain = [name for name in CHAIN_MODELS if name in evaluated]
    found = {after: before for before, after in pairwise(chain)}
    for name, stage in ((SFT, "sft"), (GRPO, "train")):
        record = folder.stage(stage) / "record.json"
        if name in found and record.exists():
            origin = read(record).model_origin
            # The warm-up's model is not evaluated; what it started from is.
            before = {"base": BASE, "warmup": BASE, "sft": SFT}.get(origin)
            found.pop(name)
            if before in chain:
                found[name] = before
    return found


def _order(name: str) -> tuple[int, list[tuple[str, int]]]:
    """Sort key: the models of the chain first, in their order; then others by name, step-20 before step-100."""
    parts = [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
    return (CHAIN_MODELS.index(name) if name in CHAIN_MODELS else len(CHAIN_MODELS)), parts


def group(runs: Sequence[Run]) -> list[Group]:
    """Group the runs: runs whose known configurations differ only in seeds are repeats of each other."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(_settings(run), []).append(run)
    return [Group(_group_name(repeats), repeats, _pool(repeats)) for repeats in found.values()]


def _settings(run: Run) -> str:
    if not run.folder.description.exists():
        return str(run.folder.root)
    description: Mapping[str, Any] = json.loads(run.folder.description.read_text())
    settings: Mapping[str, str] = description.get(
        "settings", description
    )  # in the first layout of run folders they were the root
    return json.dumps({key: value for key, value in settings.items() if not key.endswith("seed")}, sort_keys=True)


def _group_name(repeats: Sequence[Run]) -> str:
    first, *others = repeats
    return f"{first.name} and {len(others)} more" if others else first.name


def _pool(runs: Sequence[Run]) -> Sequence[Evaluation]:
    if len(runs) == 1:
        return runs[0].evaluations
    by_run = [{evaluation.name: evaluation.episodes for evaluation in run.evaluations} for run in runs]
    shared = [name for name in by_run[0] if all(name in by_name for by_name in by_run)]
    return [Evaluation.of(name, [episode for by_name in by_run for episode in by_name[name]]) for name in shared]


def tokens(log: Sequence[LogRow]) -> dict[str, int | None]:
    """Tokens that the trainers processed, of prompts and responses; None for a stage that was not trained."""
    return {
        "sft_tokens": _sum(row["data"].get(SFT_TOKENS) for row in log if row["stage"] in ("warmup", "sft")),
        "grpo_tokens": _sum(row["data"].get(GRPO_TOKENS) for row in log if row["stage"] == "train"),
    }


def _sum(values: Iterable[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None
