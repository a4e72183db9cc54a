"""Starts verl's own PPO entry with our trainer, and ends it when a process that it needs has died."""

import ray
from omegaconf import DictConfig
from ray.exceptions import RayActorError, RayTaskError
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

from gsr_rl.errors import UsageError
from gsr_rl.interrupt import interrupted_when
from gsr_rl.verl_plugin.deaths import DiedError, check_alive

LOOK_S = 5.0  # between two looks at who is alive


# TaskRunnerV1 is a Ray actor class, which cannot be inherited from; its plain class can.
class GsrTaskRunner(TaskRunnerV1.__ray_metadata__.modified_class):
    """verl's task runner. Key differences: it knows `trainer_mode=gsr`, and names the death that is behind an error."""

    def run(self, config: DictConfig) -> None:
        """Register our trainer, then train as verl does.

        Raises:
            DiedError: verl failed, and a process that it needs has died.
        """
        import gsr_rl.verl_plugin.trainer  # noqa: F401  registers trainer_mode=gsr in this process

        try:
            super().run(config)
        except Exception:
            check_alive()
            raise


def train(config: DictConfig) -> None:
    """Train as `config` says: a composed verl configuration with a `gsr:` section. Returns when the run has ended.

    Raises:
        UsageError: the training found a mistake of the user's.
        DiedError: a process that the training needs has died.
    """
    deaths: list[DiedError] = []

    def died() -> bool:
        try:
            check_alive()
        except DiedError as death:
            deaths.append(death)
        return bool(deaths)

    try:
        with interrupted_when(died, LOOK_S):
            run_ppo(config, task_runner_class=ray.remote(GsrTaskRunner))
    except KeyboardInterrupt:
        if deaths:
            raise deaths[0] from None
        raise
    except RayTaskError as error:
        if isinstance(error.cause, UsageError | DiedError):  # in one line, without the traceback of another process
            raise type(error.cause)(str(error.cause)) from None
        raise
    except RayActorError:  # the task runner itself is gone
        check_alive()
        raise
    finally:
        ray.shutdown()  # prints what its processes still had to say
