"""From a recipe's name and overrides to one resolved configuration, by Hydra."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gsr_rl.errors import UsageError
from gsr_rl.settings.cpu_dtype import fast_dtype
from gsr_rl.settings.gsr import GsrConfig, from_mapping
from gsr_rl.settings.recipes import RECIPE_FILE, recipe_names, recipes_dir

T = TypeVar("T")

# Where recipes/cpu.yaml says `${cpu_dtype:}`.
CPU_DTYPES = (
    "sft.engine.mixed_precision.param_dtype",
    "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype",
    "actor_rollout_ref.rollout.dtype",
)


def load_recipe(recipe: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose `recipe` (a name, or a folder of your own that holds a recipe.yaml) with Hydra overrides.

    `model=` is short for `eval.model=`.

    Raises:
        UsageError: the recipe does not exist, a key is unknown, or a value cannot be read.
    """
    folder = Path(recipe) if "/" in recipe else recipes_dir() / recipe
    path = (folder / RECIPE_FILE).resolve()
    if not path.is_file():
        raise UsageError(f"recipe={recipe}: no {path}; recipes: {', '.join(recipe_names())}, or a folder of your own")
    # Hydra would take it for a choice among verl's configurations of a model.
    overrides = [f"eval.{one}" if one.startswith("model=") else one for one in overrides]
    config = _compose(path, [*overrides, f"recipe={folder.name}"])
    _refuse_unknown_keys(path)
    agent_loops = str((recipes_dir() / "agent_loop.yaml").resolve())
    config.actor_rollout_ref.rollout.agent.agent_loop_config_path = agent_loops
    for key in CPU_DTYPES:  # by value: verl's processes do not know the resolver
        if (dtype := OmegaConf.select(config, key)) is not None:
            OmegaConf.update(config, key, dtype)
    return config


def _compose(path: Path, overrides: list[str]) -> DictConfig:
    ConfigStore.instance().store(name="gsr_defaults", node=asdict(GsrConfig()))
    OmegaConf.register_new_resolver("cpu_dtype", fast_dtype, replace=True)
    search = f"hydra.searchpath=[file://{recipes_dir().resolve()},file://{_verl_config_dir()}]"
    try:
        with initialize_config_dir(str(path.parent), version_base=None):
            return compose(path.stem, overrides=[search, *overrides])
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        reason = " ".join(str(error).split())
        where = error.override if isinstance(error, OverrideParseException) else path
        raise UsageError(f"{where}: {reason}") from None


def _verl_config_dir() -> Path:
    spec = find_spec("verl")  # without importing it
    if spec is None or spec.origin is None:
        raise UsageError("the package verl is not installed; run `make setup`")
    return Path(spec.origin).parent / "trainer" / "config"


def _refuse_unknown_keys(path: Path) -> None:
    """A key misspelt on the command line is refused by Hydra, one misspelt in a recipe's file is not."""
    base = _compose(recipes_dir() / "base.yaml", [])
    schema = OmegaConf.to_container(base, resolve=False)
    text = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(schema, dict) and isinstance(text, dict)
    allowed_new = {"defaults"}
    for key, close in _unknown_keys(text, schema):
        if key not in allowed_new:
            raise UsageError(f"{path}: {key}: no such key{f'; did you mean {close}?' if close else ''}")


def _unknown_keys(values: Mapping[Any, Any], schema: Mapping[Any, Any], at: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key not in schema:
            close = difflib.get_close_matches(str(key), [str(k) for k in schema], n=1)
            yield f"{at}{key}", f"{at}{close[0]}" if close else ""
        elif isinstance(value, Mapping) and isinstance(schema[key], Mapping) and schema[key]:
            yield from _unknown_keys(value, schema[key], f"{at}{key}.")


def rl_config(config: DictConfig) -> DictConfig:
    """verl's RL configuration with our sections, without verl's SFT configuration."""
    values = OmegaConf.to_container(config, resolve=False)
    return OmegaConf.create({key: value for key, value in values.items() if key != "sft"})  # pyright: ignore


def sft_config(config: DictConfig) -> DictConfig:
    """verl's SFT configuration as a root of its own, which is how its keys refer to each other."""
    return OmegaConf.create(OmegaConf.to_container(config.sft, resolve=False))  # pyright: ignore[reportReturnType]


def typed_section(config: DictConfig, key: str, cls: type[T]) -> T:
    """A section of ours as its dataclass; an unknown key or a value of the wrong type is a UsageError that names it."""
    values: Any = OmegaConf.to_container(config[key], resolve=True)
    return from_mapping(cls, values, key)
