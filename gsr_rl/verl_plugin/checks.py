"""verl's own checks of its configuration, before any training: the types of its dataclasses, and what they refuse.

verl makes the dataclasses late, in its workers, and without a look at types. OmegaConf's structured configurations look
at types, but they refuse verl's own defaults: numbers that are null, and fields of another class.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import DictConfig
from pydantic import TypeAdapter, ValidationError
from verl.trainer.ppo.utils import need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config

from gsr_rl.errors import UsageError
from gsr_rl.section import HINTS
from gsr_rl.verl_plugin.plain import plain

RL_SECTIONS = ("actor_rollout_ref", "algorithm")
SFT_SECTIONS = ("model", "engine", "optim", "checkpoint", "profiler")
# verl's worker gives these keys of `ref` other names before it makes the dataclass.
_RENAMED = "log_prob_"


def check_rl(config: DictConfig) -> None:
    """verl accepts its RL configuration.

    Raises:
        UsageError: it does not; names the key, or says why.
    """
    _check_types(plain(config), RL_SECTIONS, "")
    _refused_in_one_line(lambda: omega_conf_to_dataclass(config.actor_rollout_ref.rollout))
    _refused_in_one_line(lambda: validate_config(config, need_reference_policy(config), use_critic=False))


def check_sft(config: DictConfig) -> None:
    """verl accepts its SFT configuration; raises as `check_rl`."""
    _check_types(plain(config), SFT_SECTIONS, "sft.")
    for section in SFT_SECTIONS:
        if section != "model":  # whose dataclass reads the model
            _refused_in_one_line(lambda section=section: omega_conf_to_dataclass(config[section]))


def _refused_in_one_line(check: Callable[[], Any]) -> None:
    try:
        check()
    except (AssertionError, ValueError, NotImplementedError, HydraException) as error:
        reason = " ".join((str(error.__cause__ or "") or str(error)).split())  # some assertions say nothing
        raise UsageError(f"verl refuses the configuration: {reason}") from None


def _check_types(config: Mapping[str, Any], names: tuple[str, ...], prefix: str) -> None:
    for name in names:
        for at, values in _sections(config[name], f"{prefix}{name}"):
            hints = get_type_hints(get_class(values["_target_"]))
            for key, value in values.items():
                if key not in hints and not key.startswith(_RENAMED):
                    raise UsageError(f"{at}.{key}: no such key; verl's {values['_target_']} does not have it")
                if value is not None and not isinstance(value, Mapping):
                    _check_type(f"{at}.{key}", value, hints.get(key, Any))


def _sections(values: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sections that verl makes dataclasses of, by key."""
    if values.get("_target_"):
        yield at, values
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _sections(value, f"{at}.{key}")


def _check_type(key: str, value: Any, hint: Any) -> None:
    try:
        TypeAdapter(hint).validate_json(json.dumps(value), strict=True)  # a list of YAML is also verl's tuple
    except ValidationError as error:
        (detail, *_) = error.errors()
        raise UsageError(f"{key}={value!r}: must be {HINTS.get(detail['type'], detail['msg'])}") from None
