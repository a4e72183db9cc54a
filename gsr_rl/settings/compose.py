"""From a recipe's name and overrides to its `Settings`, by Hydra; and from there to verl's own configuration."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.settings.cpu_dtype import fast_dtype
from gsr_rl.settings.recipes import RECIPE_FILE, recipe_names, recipes_dir
from gsr_rl.settings.settings import Recipe, Settings
from gsr_rl.settings.verl import Verl, VerlSft

# Where recipes/cpu.yaml says `${cpu_dtype:}`.
CPU_DTYPES = (
    "sft.engine.mixed_precision.param_dtype",
    "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype",
    "actor_rollout_ref.rollout.dtype",
)
AGENT_LOOPS = "actor_rollout_ref.rollout.agent.agent_loop_config_path"  # depends on where the package is installed
# Keys that have another place now.
MOVED = {
    "benchmarks": "eval.benchmarks",
    "tokenizer": "eval.tokenizer",
    "problems.numbers": "problems.pair_sums.numbers",
    "problems.largest": "problems.pair_sums.largest",
    "problems.people": "problems.knights_knaves.people",
    "eval.engine": "generation.engine",
    "teach.engine": "generation.backend (process or server for local)",
    "teach.replicas": "generation.replicas",
}


def load_settings(recipe: str, overrides: Sequence[str] = ()) -> Settings:
    """Compose `recipe` (a name, or a folder of your own that holds a recipe.yaml) with Hydra overrides.

    `model=` is short for `eval.model=`.

    Raises:
        UsageError: the recipe does not exist, a key is unknown or has moved, or a value cannot be used.
    """
    folder = Path(recipe) if "/" in recipe else recipes_dir() / recipe
    path = (folder / RECIPE_FILE).resolve()
    if not path.is_file():
        raise UsageError(f"recipe={recipe}: no {path}; recipes: {', '.join(recipe_names())}, or a folder of your own")
    for override in overrides:
        _refuse_moved(override.lstrip("+~").partition("=")[0], "")
    # Hydra would take `model=` for a choice among verl's configurations of a model.
    overrides = [f"eval.{override}" if override.startswith("model=") else override for override in overrides]
    config = _compose(path, [*overrides, f"recipe={folder.name}"])
    _refuse_unknown_keys(path)
    for key in MOVED:  # from a file that the recipe's defaults name, or within a section on the command line
        if OmegaConf.select(config, key) is not None:
            _refuse_moved(key, "")
    OmegaConf.update(config, AGENT_LOOPS, str((recipes_dir() / "agent_loop.yaml").resolve()))
    for key in CPU_DTYPES:  # by value: verl's processes do not know the resolver
        if (dtype := OmegaConf.select(config, key)) is not None:
            OmegaConf.update(config, key, dtype)
    return _typed(config, path)


def _typed(config: DictConfig, path: Path) -> Settings:
    try:
        values: Any = OmegaConf.to_container(_without_sft(config), resolve=True)
        sft: Any = OmegaConf.to_container(_sft_alone(config), resolve=True)
    except OmegaConfBaseException as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
    ours = {key: values.pop(key) for key in Recipe.model_fields}
    settings = Settings.of({**ours, "verl": Verl.of(values), "sft": VerlSft.of(sft, "sft")})
    settings._composed = config
    return settings


def _without_sft(config: DictConfig) -> DictConfig:
    values: Any = OmegaConf.to_container(config, resolve=False)
    return DictConfig({key: value for key, value in values.items() if key != "sft"})


def _sft_alone(config: DictConfig) -> DictConfig:
    """verl's SFT configuration as a root of its own, which is how its keys refer to each other."""
    values: Any = OmegaConf.to_container(config.sft, resolve=False)
    return DictConfig(values)


def rl_config(settings: Settings, changes: Mapping[str, Any] | None = None) -> DictConfig:
    """verl's RL configuration with our sections, without verl's SFT configuration.

    Args:
        changes: values by dotted key, set before interpolations are resolved.
    """
    # The platform may have changed how Ray is started.
    return _changed(
        _without_sft(settings._composed), {"ray_kwargs.ray_init": settings.verl.ray_init, **(changes or {})}
    )


def sft_config(settings: Settings, changes: Mapping[str, Any] | None = None) -> DictConfig:
    """verl's SFT configuration; `changes` as in `rl_config`."""
    return _changed(_sft_alone(settings._composed), changes or {})


def _changed(config: DictConfig, changes: Mapping[str, Any]) -> DictConfig:
    for key, value in changes.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    return config


def resolved_config(settings: Settings) -> dict[str, Any]:
    """The whole configuration as plain values: verl's RL keys and ours at the root, verl's SFT keys under `sft`."""
    rl: Any = OmegaConf.to_container(rl_config(settings), resolve=True)
    sft: Any = OmegaConf.to_container(sft_config(settings), resolve=True)
    return {**rl, "sft": sft}


def save_config(config: DictConfig | Mapping[str, Any] | Settings, path: Path) -> str:
    """Write a configuration as YAML; of `Settings` what Hydra composed. Returns the text."""
    text = OmegaConf.to_yaml(config._composed if isinstance(config, Settings) else DictConfig(config))
    with replacing(path) as temporary:
        temporary.write_text(text)
    return text


def _compose(path: Path, overrides: list[str]) -> DictConfig:
    ConfigStore.instance().store(name="gsr_rl_defaults", node=Recipe.defaults())
    OmegaConf.register_new_resolver("cpu_dtype", fast_dtype, replace=True)
    search = f"hydra.searchpath=[file://{recipes_dir().resolve()},file://{_verl_config_dir()}]"
    try:
        with initialize_config_dir(str(path.parent), version_base=None):
            return compose(path.stem, overrides=[search, *overrides])
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        reason = " ".join(str(error).split())
        if unknown := re.match("Could not override '([^']+)'", reason):
            _refuse_unknown_override(unknown[1])
        where = error.override if isinstance(error, OverrideParseException) else path
        raise UsageError(f"{where}: {reason}") from None


@cache
def _schema(folder: Path) -> dict[Any, Any]:
    """All keys that a recipe may set: those of the base of the recipes in `folder`."""
    schema: Any = OmegaConf.to_container(_compose(folder / "base.yaml", []), resolve=False)
    return schema


def _refuse_unknown_override(key: str) -> None:
    values = _schema(recipes_dir())
    nested: dict[str, Any] = {}
    for name in reversed(key.split(".")):
        nested = {name: nested}
    for unknown, close in _unknown_keys(nested, values):
        parent = unknown.rpartition(".")[0]
        if close:
            hint = f"did you mean {close}?"
        elif unknown.partition(".")[0] in Recipe.model_fields:  # a section of ours takes no further keys
            hint = f"{parent} has: {', '.join(OmegaConf.select(OmegaConf.create(values), parent))}"
        else:
            hint = f"+{key}=... adds a key that verl's YAML does not have"
        raise UsageError(f"{unknown}: no such key; {hint}")


def _verl_config_dir() -> Path:
    spec = find_spec("verl")  # without importing it
    if spec is None or spec.origin is None:
        raise UsageError("the package verl is not installed; run `make setup`")
    return Path(spec.origin).parent / "trainer" / "config"


def _refuse_unknown_keys(path: Path) -> None:
    """Hydra refuses a key that is misspelt on the command line, but not one that is misspelt in a recipe's file."""
    text: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    for key, close in _unknown_keys(text, _schema(recipes_dir())):
        _refuse_moved(key, f"{path}: ")
        if key != "defaults":
            raise UsageError(f"{path}: {key}: no such key{f'; did you mean {close}?' if close else ''}")


def _refuse_moved(key: str, where: str) -> None:
    for old, new in MOVED.items():
        if key == old or key.startswith(f"{old}."):
            raise UsageError(f"{where}{old}: this key has moved; write {new}")


def _unknown_keys(values: Mapping[Any, Any], schema: Mapping[Any, Any], at: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key not in schema:
            close = difflib.get_close_matches(str(key), [str(name) for name in schema], n=1)
            yield f"{at}{key}", f"{at}{close[0]}" if close else ""
        elif isinstance(value, Mapping) and isinstance(schema[key], Mapping) and schema[key]:
            yield from _unknown_keys(value, schema[key], f"{at}{key}.")
