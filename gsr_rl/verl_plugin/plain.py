"""verl's configuration as plain values, which our typed sections are made of."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def plain(config: DictConfig) -> dict[str, Any]:
    """A part of verl's configuration as a dict, its interpolations resolved."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    return values
