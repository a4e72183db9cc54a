"""Variants of a recipe, such as its ablations: the same chain with other settings, in a folder of its own each."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import from_mapping
from gsr_rl.settings.run_folder import RunFolder

# What a variant may share of the recipe's own run: stage -> paths of its results in the run folder.
REUSABLE = {
    "data": ("data",),
    "warmup": ("warmup",),
    "teach": ("teach/pool.jsonl", "teach/candidates.jsonl", "teach/answers.jsonl"),
    "base": ("episodes/base.jsonl",),
    "sft": ("sft", "episodes/sft.jsonl"),
}


@dataclass(frozen=True)
class Variant:
    """`overrides` of the recipe, and the stages whose results are those of the recipe's own run."""

    overrides: list[str]
    reuse: list[str] = field(default_factory=list)


def variants_of(config: DictConfig) -> Mapping[str, Variant]:
    """The recipe's variants by name.

    Raises:
        UsageError: a section that is none, or a stage that cannot be shared.
    """
    sections: Any = OmegaConf.to_container(config.variants or OmegaConf.create(), resolve=True)
    variants = {name: from_mapping(Variant, section, f"variants.{name}") for name, section in sections.items()}
    for name, variant in variants.items():
        for stage in variant.reuse:
            if stage not in REUSABLE:
                raise UsageError(f"variants.{name}.reuse: {stage} cannot be shared; choose from {', '.join(REUSABLE)}")
    return variants


def overrides(config: DictConfig, name: str) -> list[str]:
    """What `gsr-rl run` gets for a variant besides the arguments of the recipe's own run."""
    own = variants_of(config)[name].overrides
    return [*own, f"run_dir={RunFolder.of(config).root / name}", "variants=null"]


def share(root: Path, name: str, stages: Sequence[str]) -> None:
    """Link the results of `stages` in the recipe's own run folder, `root`, into the variant's."""
    for path in (Path(path) for stage in stages for path in REUSABLE[stage]):
        link = root / name / path
        if not link.exists() and (root / path).exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(root / path, link.parent))
