import os
from typing import Any

# verl reads it when it is first imported, and the tests run on the CPU.
os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def patient_pool() -> None:
    """A busy machine does not make the verifier's workers late either: their limit is processor time."""
    from rewards.pool import shared

    shared.wall_seconds = 120.0


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tiny import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture(scope="session")
def thinking_tokenizer() -> Any:
    from tiny import THINKING_TEMPLATE, tiny_tokenizer

    return tiny_tokenizer(THINKING_TEMPLATE)


@pytest.fixture(scope="session")
def quickstart() -> Any:
    """The quickstart's configuration as verl's trainer gets it; copy it before changing it."""
    from omegaconf import OmegaConf

    from gsr_rl.settings.compose import load_settings, rl_config

    config = rl_config(load_settings("quickstart_cpu"))
    OmegaConf.resolve(config)
    return config


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A queue in memory for verl's worker and ours, and our loop in verl's registry."""
    import verl.experimental.agent_loop.agent_loop as verl_agent_loop
    import verl.trainer.ppo.v1.agent_loop_tq as verl_worker
    from omegaconf import OmegaConf
    from rollout import MemoryQueue

    import gsr_rl.verl_plugin.worker as gsr_worker

    queue = MemoryQueue()
    monkeypatch.setattr(gsr_worker, "tq", queue)
    monkeypatch.setattr(verl_worker, "tq", queue)
    registry = {"gsr": OmegaConf.create({"_target_": "gsr_rl.verl_plugin.agent_loop.GsrAgentLoop"})}
    monkeypatch.setattr(verl_agent_loop, "_agent_loop_registry", registry)
    return queue
