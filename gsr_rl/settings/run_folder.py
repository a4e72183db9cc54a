"""Where the stages of a run put their results, and how a stage knows what is there."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing


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

    @property
    def overlaps(self) -> Path:
        """Problems that overlap with an evaluation set."""
        return self.data / "overlap.jsonl"

    def stage(self, name: str) -> Path:
        return self.root / name

    def checkpoints(self, stage: str) -> Path:
        return self.root / stage / "checkpoints"

    def latest_checkpoint(self, stage: str) -> Path | None:
        """The checkpoint at which verl resumes `stage`: the one that its tracker file names, written when it was whole.

        Raises:
            UsageError: the tracker file is torn, or names a checkpoint that is not there.
        """
        tracker = self.checkpoints(stage) / "latest_checkpointed_iteration.txt"
        if not tracker.exists():
            return None
        step = tracker.read_text().strip()
        path = self.checkpoints(stage) / f"global_step_{step}"
        if not step.isdigit() or not path.is_dir():
            there = ", ".join(sorted(one.name for one in self.checkpoints(stage).glob("global_step_*"))) or "none"
            raise UsageError(
                f"{tracker}: names checkpoint {step!r}, there are: {there}; write the number of a whole one into it, "
                f"or remove {self.checkpoints(stage)} to begin the stage anew"
            )
        return path

    def model(self, stage: str) -> Path:
        """The model a training stage ends with; that of `train` is the run's result."""
        return self.root / "model" if stage == "train" else self.root / stage / "model"

    def sft_rows(self, stage: str) -> Path:
        return self.root / "teach" / ("direct.parquet" if stage == "warmup" else "train.parquet")

    def episodes(self, name: str) -> Path:
        return self.root / "episodes" / f"{name}.jsonl"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def claim(self) -> Path:
        """The settings to which the folder belongs."""
        return self.root / "run.json"

    def has_results(self) -> bool:
        """Whether a stage has begun to write here: one that was refused at once leaves nothing."""
        own = {self.config, self.claim, self.usage}
        return self.claim.exists() and any(path not in own for path in self.root.iterdir())

    @property
    def answers(self) -> Path:
        """All that endpoints answered in `teach`, as it came in."""
        return self.root / "teach" / "answers.jsonl"

    @property
    def pool(self) -> Path:
        """All candidates of each problem, in the order in which they were sampled."""
        return self.root / "teach" / "pool.jsonl"

    @property
    def candidates(self) -> Path:
        """Candidate sets as the teacher sees them."""
        return self.root / "teach" / "candidates.jsonl"

    @property
    def teach_summary(self) -> Path:
        return self.root / "teach" / "summary.json"

    @property
    def usage(self) -> Path:
        return self.root / "usage.json"

    def add_usage(self, wall_s: float, peak_rss_gb: float) -> None:
        """Add a stage to what the run has used: seconds of all its starts, and the most memory at one time."""
        used = json.loads(self.usage.read_text()) if self.usage.exists() else {"wall_s": 0.0, "peak_rss_gb": 0.0}
        used = {"wall_s": used["wall_s"] + wall_s, "peak_rss_gb": max(used["peak_rss_gb"], peak_rss_gb)}
        with replacing(self.usage) as temporary:
            temporary.write_text(json.dumps(used))


def skipped_stages(config: DictConfig) -> set[str]:
    """Stages that the chain leaves out: those of `skip_stages`, and a warm-up without steps."""
    return {*config.skip_stages} if config.warmup.steps > 0 else {*config.skip_stages, "warmup"}


def base_model(config: DictConfig) -> str:
    """The model that the chain starts from: `smollm2` is converted into the run folder's parent at its first use."""
    if config.base_model == "smollm2":
        from gsr_rl.smollm2 import convert

        return str(convert(RunFolder.of(config).root.parent / "smollm2-135m-instruct"))
    return str(config.base_model)


def latest_model(config: DictConfig, *stages: str) -> str:
    """The model of the last of `stages` that has one, else the base model."""
    folder = RunFolder.of(config)
    for stage in reversed(stages):
        if folder.model(stage).is_dir():
            return str(folder.model(stage))
    return base_model(config)


def publish(checkpoint: Path | None, model: str, target: Path) -> None:
    """Copy the folder `model` of a training stage's last checkpoint to `target`, which appears whole or not at all.

    Its config.json is rid of `attn_implementation`: the trainer's choice, which transformers alone may not know.
    """
    if checkpoint is None or not (checkpoint / model / "config.json").is_file():
        raise UsageError(
            f"{checkpoint}: no Hugging Face model in the last checkpoint; keep `hf_model` in checkpoint.save_contents"
        )
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(checkpoint / model, temporary)
    config = json.loads((temporary / "config.json").read_text())
    config.pop("attn_implementation", None)
    (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
