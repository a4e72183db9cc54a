"""Where the stages of a run put their results, and how a stage knows what is there."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from data_prep.tables import replacing
from gsr_rl.errors import UsageError


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run. A stage's result appears at its path whole (temporary name, then renamed) or not at all."""

    root: Path

    @classmethod
    def of(cls, config: DictConfig) -> "RunFolder":
        return cls(Path(config.run_dir).resolve())

    @property
    def data(self) -> Path:
        return self.root / "data"

    def problems(self, split: str) -> Path:
        return self.data / f"{split}.jsonl"

    def rl_rows(self, split: str) -> Path:
        return self.data / f"{split}.parquet"

    def stage(self, name: str) -> Path:
        return self.root / name

    def model(self, stage: str) -> Path:
        """The model a training stage ends with; that of `train` is the run's result."""
        return self.root / "model" if stage == "train" else self.root / stage / "model"

    def sft_rows(self, stage: str) -> Path:
        return self.root / "teach" / ("direct.parquet" if stage == "warmup" else "train.parquet")

    def episodes(self, name: str) -> Path:
        return self.root / "episodes" / f"{name}.jsonl"

    @property
    def usage(self) -> Path:
        return self.root / "usage.json"

    def add_usage(self, wall_s: float, peak_rss_gb: float) -> None:
        """Add a stage to what the run has used: seconds of all its starts, and the most memory at one time."""
        used = json.loads(self.usage.read_text()) if self.usage.exists() else {"wall_s": 0.0, "peak_rss_gb": 0.0}
        used = {"wall_s": used["wall_s"] + wall_s, "peak_rss_gb": max(used["peak_rss_gb"], peak_rss_gb)}
        with replacing(self.usage) as temporary:
            temporary.write_text(json.dumps(used))


def base_model(config: DictConfig) -> str:
    """The model that the chain starts from: `smollm2` is converted into the run folder's parent at its first use."""
    if config.base_model == "smollm2":
        from data_prep.smollm2 import convert

        return str(convert(RunFolder.of(config).root.parent / "smollm2-135m-instruct"))
    return str(config.base_model)


def latest_model(config: DictConfig, *stages: str) -> str:
    """The model of the last of `stages` that has one, else the base model."""
    folder = RunFolder.of(config)
    for stage in reversed(stages):
        if folder.model(stage).is_dir():
            return str(folder.model(stage))
    return base_model(config)


def publish(source: Path, target: Path) -> None:
    """Copy a finished folder to `target`, which appears whole or not at all."""
    if not (source / "config.json").is_file():
        raise UsageError(f"{source}: no Hugging Face model there; keep `hf_model` in checkpoint.save_contents")
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
