"""Settings with overrides, without composing a recipe each time: that takes Hydra seconds."""

import copy
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from gsr_rl.settings.compose import _typed, load_settings
from gsr_rl.settings.settings import Settings


@cache
def composed(recipe: str, *overrides: str) -> Settings:
    """A recipe's settings, composed once."""
    return load_settings(recipe, overrides)


def changed(settings: Settings, *overrides: str) -> Settings:
    """The settings with `key=value` overrides on top, as the command line would have them."""
    config = copy.deepcopy(settings._composed)
    for override in OverridesParser.create().parse_overrides([*overrides]):
        key = "eval.model" if override.key_or_group == "model" else override.key_or_group
        OmegaConf.update(config, key, override.value(), force_add=True)
    return _typed(config, Path("recipe.yaml"))
