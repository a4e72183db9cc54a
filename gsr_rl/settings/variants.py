"""Variants of a recipe, such as its ablations: the same chain with other settings, each in a folder of its own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gsr_rl.section import Section

Reusable = Literal["data", "warmup", "teach", "base", "sft"]
# What a variant may share with the recipe's own run: stage -> paths of its results in the run folder.
REUSABLE: dict[Reusable, tuple[str, ...]] = {
    "data": ("data",),
    "warmup": ("warmup",),
    "teach": ("teach/pool.jsonl", "teach/candidates.jsonl", "teach/answers.jsonl"),
    "base": ("episodes/base.jsonl",),
    "sft": ("sft", "episodes/sft.jsonl"),
}


class Variant(Section):
    """A difference from the recipe."""

    overrides: list[str]
    """Hydra overrides that make the difference."""
    reuse: list[Reusable] = []
    """Stages whose results the variant shares with the recipe's own run."""


def share(root: Path, name: str, stages: Sequence[Reusable]) -> None:
    """Link the results of `stages` from the recipe's own run folder, `root`, into the variant's folder."""
    for path in (Path(path) for stage in stages for path in REUSABLE[stage]):
        link = root / name / path
        if not link.exists() and (root / path).exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(root / path, link.parent))
