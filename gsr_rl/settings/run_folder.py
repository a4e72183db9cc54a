"""Where the stages of a run put their results, and how a stage knows what is there."""

import json
from dataclasses import dataclass
from pathlib import Path

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run. A stage's result appears at its path whole (temporary name, then renamed) or not at all."""

    root: Path

    @property
    def data(self) -> Path:
        """Problems and RL rows of all splits."""
        return self.root / "data"

    def problems(self, split: str) -> Path:
        """Problems of a split."""
        return self.data / f"{split}.jsonl"

    def rl_rows(self, split: str) -> Path:
        """The same problems as verl reads them."""
        return self.data / f"{split}.parquet"

    @property
    def overlaps(self) -> Path:
        """Problems that overlap with an evaluation set."""
        return self.data / "overlap.jsonl"

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.root / name

    def checkpoints(self, stage: str) -> Path:
        """Checkpoints of a training stage."""
        return self.root / stage / "checkpoints"

    def latest_checkpoint(self, stage: str) -> Path | None:
        """The checkpoint from which verl resumes `stage`: verl's tracker file names it once it is whole.

        Raises:
            UsageError: the tracker file is torn, or names a checkpoint that is not there.
        """
        tracker = self.checkpoints(stage) / "latest_checkpointed_iteration.txt"
        if not tracker.exists():
            return None
        step = tracker.read_text().strip()
        path = self.checkpoints(stage) / f"global_step_{step}"
        if not step.isdigit() or not path.is_dir():
            steps = self.checkpoints(stage).glob("global_step_*")
            there = ", ".join(sorted(folder.name for folder in steps)) or "none"
            raise UsageError(
                f"{tracker}: names checkpoint {step!r}, there are: {there}; write the number of a whole one into it, "
                f"or remove {self.checkpoints(stage)} to start the stage anew"
            )
        return path

    def model(self, stage: str) -> Path:
        """The model that a training stage ends with; that of `train` is the run's result."""
        return self.root / "model" if stage == "train" else self.root / stage / "model"

    def sft_rows(self, stage: str) -> Path:
        """Rows of `warmup` or `sft`."""
        return self.root / "teach" / ("direct.parquet" if stage == "warmup" else "train.parquet")

    def episodes(self, name: str) -> Path:
        """Episodes of an evaluation."""
        return self.root / "episodes" / f"{name}.jsonl"

    def eval_answers(self, model: str) -> Path:
        """All that a model answered in evaluations, as it came in."""
        return self.root / "eval" / f"{model}.answers.jsonl"

    @property
    def config(self) -> Path:
        """The composed recipe of the last start."""
        return self.root / "config.yaml"

    @property
    def description(self) -> Path:
        """The settings of the last start that results depend on."""
        return self.root / "run.json"

    @property
    def lock(self) -> Path:
        """Held by the run that writes here."""
        return self.root / ".lock"

    @property
    def answers(self) -> Path:
        """All that models answered in `teach`, as it came in."""
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
        """Counts of candidates and targets, and what they cost."""
        return self.root / "teach" / "summary.json"

    @property
    def usage(self) -> Path:
        """Time and memory of the run."""
        return self.root / "usage.json"

    def add_usage(self, wall_s: float, peak_rss_gb: float) -> None:
        """Add a stage to what the run has used: seconds of all its starts, and the most memory at any time."""
        used = json.loads(self.usage.read_text()) if self.usage.exists() else {"wall_s": 0.0, "peak_rss_gb": 0.0}
        used = {"wall_s": used["wall_s"] + wall_s, "peak_rss_gb": max(used["peak_rss_gb"], peak_rss_gb)}
        with replacing(self.usage) as temporary:
            temporary.write_text(json.dumps(used))
