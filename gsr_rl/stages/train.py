"""Stage `train`: GRPO on both stages, by verl's own trainer."""

from data_prep.rows import read_rl_rows
from gsr_rl.generation.tokenizers import check_prompts, load_tokenizer, longest_problems
from gsr_rl.settings.compose import rl_config, save_config
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.logs import open_logs
from gsr_rl.stages.models import check_last_step, latest_model, publish
from gsr_rl.stages.preflight import check_recipe, check_trainer


def check(settings: Settings) -> None:
    """Everything about the training that can be known before it starts.

    Raises:
        UsageError: one line that names the key, file or row, what is wrong and how to fix it.
    """
    check_recipe(settings)
    check_trainer(settings, "train")
    data, length = settings.verl.data, settings.verl.rollout.prompt_length
    kinds = [[files] if isinstance(files, str) else files for files in (data.train_files, data.val_files)]
    problems = [problem.problem for files in kinds for problem in read_rl_rows(*files)]
    tokenizer = load_tokenizer(latest_model(settings, "warmup", "sft"))
    longest = longest_problems(tokenizer, problems)
    check_prompts(settings.gsr, tokenizer, length, settings.verl.chat_kwargs, ["", *longest])


def run(settings: Settings) -> None:
    """Train from the latest model of the chain; write `<run_dir>/model`, an ordinary Hugging Face folder."""
    from gsr_rl.verl_plugin.launch import train

    folder, ray_init = settings.folder, settings.verl.ray_init
    runtime_env = ray_init["runtime_env"]
    env = {**runtime_env["env_vars"], **open_logs(folder.stage("train"))}
    # verl ends with its last epoch, however many steps were asked for; an epoch has at least one step.
    epochs, steps = settings.verl.trainer.total_epochs, settings.verl.trainer.total_training_steps
    start = settings.verl.model.path or latest_model(settings, "warmup", "sft")
    changes = {
        "trainer.total_epochs": max(epochs, steps or 0),
        "actor_rollout_ref.model.path": start,
        "ray_kwargs.ray_init": {**ray_init, "runtime_env": {**runtime_env, "env_vars": env}},
        # Absolute paths: Ray starts its processes in another folder.
        "trainer.default_local_dir": str(folder.checkpoints("train")),
        "trainer.validation_data_dir": str(folder.stage("train") / "validation"),
    }
    config = rl_config(settings, changes)
    save_config(config, folder.stage("train") / "config.yaml")
    train(config)
    check_last_step("train", folder.latest_checkpoint("train"), _steps(settings))
    publish(folder.latest_checkpoint("train"), "actor/huggingface", folder.model("train"), start)
    print(f"gsr-rl train: model in {folder.model('train')}")


def _steps(settings: Settings) -> int:
    """The steps that a training has: those that are asked for, or those of its epochs."""
    data, trainer = settings.verl.data, settings.verl.trainer
    if trainer.total_training_steps is not None:
        return trainer.total_training_steps
    if data.filter_overlong_prompts:  # verl alone knows how many prompts are left
        return 1
    files = [data.train_files] if isinstance(data.train_files, str) else data.train_files
    prompts = sum(len(read_rl_rows(file)) for file in files)
    return trainer.total_epochs * (prompts // data.train_batch_size)
