"""Stage `train`: GRPO on both stages, by verl's own trainer."""

from omegaconf import DictConfig, OmegaConf, open_dict

from gsr_rl.settings.compose import rl_config
from gsr_rl.settings.run_folder import RunFolder, latest_model, publish
from gsr_rl.stages.logs import open_logs


def run(config: DictConfig) -> None:
    """Train from the latest model of the chain; write `<run_dir>/model`, an ordinary Hugging Face folder."""
    from gsr_rl.verl_plugin.launch import train

    folder, config = RunFolder.of(config), rl_config(config)
    with open_dict(config):
        if config.actor_rollout_ref.model.path is None:
            config.actor_rollout_ref.model.path = latest_model(config, "warmup", "sft")
        runtime_env = config.ray_kwargs.ray_init.runtime_env
        runtime_env.env_vars = {**(runtime_env.get("env_vars") or {}), **open_logs(folder.stage("train"))}
        # Ray starts its processes elsewhere.
        config.trainer.default_local_dir = str(folder.checkpoints("train"))
        config.trainer.validation_data_dir = str(folder.stage("train") / "validation")
    OmegaConf.save(config, folder.stage("train") / "config.yaml")
    train(config)
    publish(folder.latest_checkpoint("train"), "actor/huggingface", folder.model("train"))
    print(f"gsr-rl train: model in {folder.model('train')}")
