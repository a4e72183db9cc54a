"""Start verl's own PPO entry with our trainer."""

import ray
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo


# TaskRunnerV1 is a Ray actor class already; its plain class can be inherited from.
class GsrTaskRunner(TaskRunnerV1.__ray_metadata__.modified_class):
    def run(self, config: DictConfig) -> None:
        import gsr_rl.verl_plugin.trainer  # noqa: F401  registers trainer_mode=gsr in this process

        super().run(config)


def train(config: DictConfig) -> None:
    """Train as `config` says: a composed verl configuration with a `gsr:` section."""
    run_ppo(config, task_runner_class=ray.remote(GsrTaskRunner))
