"""Starts verl's own PPO entry with our trainer."""

import ray
from omegaconf import DictConfig
from ray.exceptions import RayTaskError
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

from gsr_rl.errors import UsageError


# TaskRunnerV1 is a Ray actor class, which cannot be inherited from; its plain class can.
class GsrTaskRunner(TaskRunnerV1.__ray_metadata__.modified_class):
    """verl's task runner. Key difference from verl's: its process knows `trainer_mode=gsr`."""

    def run(self, config: DictConfig) -> None:
        """Register our trainer, then train as verl does."""
        import gsr_rl.verl_plugin.trainer  # noqa: F401  registers trainer_mode=gsr in this process

        super().run(config)


def train(config: DictConfig) -> None:
    """Train as `config` says: a composed verl configuration with a `gsr:` section. Returns when the run has ended.

    Raises:
        UsageError: the training found a mistake of the user's.
    """
    try:
        run_ppo(config, task_runner_class=ray.remote(GsrTaskRunner))
    except RayTaskError as error:
        if isinstance(error.cause, UsageError):  # in one line, without the traceback of another process
            raise UsageError(str(error.cause)) from None
        raise
