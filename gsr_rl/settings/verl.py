"""The keys of verl's configuration that our code reads, and what two-stage training asks of them.

verl's own dataclasses check the rest, when a training starts.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AliasPath, BeforeValidator, ConfigDict, Field, model_validator

from gsr_rl.errors import require
from gsr_rl.section import Section, require_field
from gsr_rl.settings.gsr import Gsr

_ROLLOUT = "actor_rollout_ref.rollout"
_ACTOR = "actor_rollout_ref.actor"


def _check_files(value: object) -> object:
    is_list = isinstance(value, list) and all(isinstance(file, str) for file in value)
    require_field(isinstance(value, str) or is_list, "", repr(value), "a file or a list of files")
    return value


Files = Annotated[str | list[str], BeforeValidator(_check_files)]


class Facts(Section):
    """Some keys of a section of verl's, read and typed; its other keys are verl's business."""

    model_config = ConfigDict(extra="ignore")


class Data(Facts):
    """`data`: batches and prompts of a training step."""

    train_batch_size: int = Field(ge=1)
    val_batch_size: int | None
    train_files: Files
    val_files: Files
    max_prompt_length: int
    filter_overlong_prompts: bool
    apply_chat_template_kwargs: dict[str, Any]


class ValidationSampling(Facts):
    """`actor_rollout_ref.rollout.val_kwargs`: n validation episodes of a problem."""

    n: int


class Rollout(Facts):
    """`actor_rollout_ref.rollout`: lengths in tokens, sampling in training, and the engine."""

    prompt_length: int
    response_length: int
    max_model_len: int | None
    max_num_seqs: int
    tensor_model_parallel_size: int
    dtype: str
    enforce_eager: bool
    temperature: float
    top_p: float
    top_k: int
    n: int
    calculate_log_probs: bool
    log_prob_max_token_len_per_gpu: int
    val_kwargs: ValidationSampling


class Checkpoint(Facts):
    """`checkpoint`: what a checkpoint holds."""

    save_contents: list[str]


class Actor(Facts):
    """`actor_rollout_ref.actor`: mini-batches in prompts, micro-batches in tokens."""

    checkpoint: Checkpoint
    ppo_mini_batch_size: int
    use_dynamic_bsz: bool
    ppo_max_token_len_per_gpu: int
    shuffle: bool


class TrainedModel(Facts):
    """A model that verl trains. `path` is null for the latest model of the chain."""

    path: str | None
    override_config: dict[str, Any] | None = None


class V1(Facts):
    """`trainer.v1`."""

    trainer_mode: str


class Trainer(Facts):
    """`trainer`: devices and steps."""

    device: str
    nnodes: int
    n_gpus_per_node: int
    total_training_steps: int | None
    total_epochs: int
    save_freq: int
    use_v1: bool
    v1: V1


class FilterGroups(Facts):
    """`algorithm.filter_groups`."""

    enable: bool = False


class RolloutCorrection(Facts):
    """`algorithm.rollout_correction`."""

    bypass_mode: bool = False


class Algorithm(Facts):
    """`algorithm`: the estimator of advantages, and features that do not go with two stages."""

    adv_estimator: str
    filter_groups: FilterGroups | None = None
    rollout_correction: RolloutCorrection | None = None


class RewardModel(Facts):
    """`reward.reward_model`: a reward model inside of verl."""

    enable: bool
    enable_resource_pool: bool


class RewardFunction(Facts):
    """`reward.custom_reward_function`: the judge of both stages."""

    path: str | None
    name: str


class Reward(Facts):
    """`reward`: how responses are judged."""

    reward_model: RewardModel
    custom_reward_function: RewardFunction


class Verl(Facts):
    """verl's RL configuration, as far as our code reads it."""

    data: Data
    model: TrainedModel = Field(validation_alias=AliasPath("actor_rollout_ref", "model"))
    actor: Actor = Field(validation_alias=AliasPath("actor_rollout_ref", "actor"))
    rollout: Rollout = Field(validation_alias=AliasPath("actor_rollout_ref", "rollout"))
    algorithm: Algorithm
    reward: Reward
    trainer: Trainer
    queue_size: int = Field(
        validation_alias=AliasPath("transfer_queue", "backend", "SimpleStorage", "total_storage_size")
    )
    ray_init: dict[str, Any] = Field(validation_alias=AliasPath("ray_kwargs", "ray_init"))

    @property
    def chat_kwargs(self) -> dict[str, Any]:
        """Arguments of the chat template, the same in every stage."""
        return self.data.apply_chat_template_kwargs

    @property
    def is_on_cpu(self) -> bool:
        """Whether the recipe is for a machine without an accelerator."""
        return self.trainer.device == "cpu"


class SftData(Facts):
    """`sft.data`: rows and batches; null files are filled in by the stage."""

    train_files: Files | None
    val_files: Files | None
    train_batch_size: int = Field(ge=1)
    max_length: int
    apply_chat_template_kwargs: dict[str, Any]

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        value, hint = self.apply_chat_template_kwargs, "set as data.apply_chat_template_kwargs, which holds for SFT too"
        require_field(not value, "apply_chat_template_kwargs", value, hint)
        return self


class SftTrainer(Facts):
    """`sft.trainer`: devices, steps and names."""

    n_gpus_per_node: int
    total_training_steps: int | None
    total_epochs: int
    experiment_name: str | None
    seed: int | None


class VerlSft(Facts):
    """verl's SFT configuration, as far as our code reads it."""

    checkpoint: Checkpoint
    data: SftData
    model: TrainedModel
    trainer: SftTrainer


def check_training(gsr: Gsr, verl: Verl) -> None:
    """Refuse what two-stage training cannot do.

    Raises:
        UsageError: one line that names the key, its value, and what it must be.
    """
    rollout, actor, algorithm, trainer = verl.rollout, verl.actor, verl.algorithm, verl.trainer
    one_temperature = "verl recomputes log-probs with one temperature and the whole distribution"
    require(rollout.temperature > 0, f"{_ROLLOUT}.temperature", rollout.temperature, "above 0 in training")
    require(rollout.top_p == 1, f"{_ROLLOUT}.top_p", rollout.top_p, f"1 in training: {one_temperature}")
    require(rollout.top_k == -1, f"{_ROLLOUT}.top_k", rollout.top_k, f"-1 in training: {one_temperature}")
    require(rollout.n == 1, f"{_ROLLOUT}.n", rollout.n, "1: gsr.k and gsr.m say how many responses a prompt gets")
    require(rollout.val_kwargs.n >= 1, f"{_ROLLOUT}.val_kwargs.n", rollout.val_kwargs.n, "at least 1")
    hint = "True: the sync guard compares them"
    require(rollout.calculate_log_probs, f"{_ROLLOUT}.calculate_log_probs", False, hint)
    hint = "gsr: verl's other modes (async ones too) have not been proved with two-stage rollouts"
    require(trainer.v1.trainer_mode == "gsr", "trainer.v1.trainer_mode", trainer.v1.trainer_mode, hint)
    require(trainer.use_v1, "trainer.use_v1", trainer.use_v1, "True: verl's V0 trainer has no two-stage rows")
    filters = algorithm.filter_groups is not None and algorithm.filter_groups.enable
    hint = "False: it pools both stages; use gsr.selection"
    require(not filters, "algorithm.filter_groups.enable", filters, hint)
    bypass = algorithm.rollout_correction is not None and algorithm.rollout_correction.bypass_mode
    hint = "False: the sync guard needs old log-probs"
    require(not bypass, "algorithm.rollout_correction.bypass_mode", bypass, hint)
    reward_model = verl.reward.reward_model
    colocated = reward_model.enable and not reward_model.enable_resource_pool
    hint = "used with reward.reward_model.enable_resource_pool=True: candidates are judged before refinement"
    require(not colocated, "reward.reward_model.enable", True, hint)
    require(not actor.shuffle, f"{_ACTOR}.shuffle", actor.shuffle, "False: rows are dealt evenly")
    batch, mini_batch = verl.data.train_batch_size, actor.ppo_mini_batch_size
    hint = f"a divisor of data.train_batch_size={batch} (prompts)"
    divides = 0 < mini_batch <= batch and batch % mini_batch == 0
    require(divides, f"{_ACTOR}.ppo_mini_batch_size", mini_batch, hint)
    _check_budgets(gsr, verl)
    rows, key = rows_in_queue(gsr, verl), "transfer_queue.backend.SimpleStorage.total_storage_size"
    require(verl.queue_size >= rows, key, verl.queue_size, f"at least {rows}, the rows of one step")


def check_checkpoints(verl: Verl, sft: VerlSft) -> None:
    """A training must keep its end, as a model that can be loaded.

    Raises:
        UsageError: nothing would be saved, or no Hugging Face model.
    """
    hint = "at least 1: otherwise verl saves nothing at all; the last step is always saved then"
    require(verl.trainer.save_freq >= 1, "trainer.save_freq", verl.trainer.save_freq, hint)
    for key, checkpoint in ((f"{_ACTOR}.checkpoint", verl.actor.checkpoint), ("sft.checkpoint", sft.checkpoint)):
        has_model = "hf_model" in checkpoint.save_contents
        hint = "a list with hf_model, which the next stage loads"
        require(has_model, f"{key}.save_contents", checkpoint.save_contents, hint)


def _check_budgets(gsr: Gsr, verl: Verl) -> None:
    longest, rollout, actor = gsr.max_response_tokens, verl.rollout, verl.actor
    hint = f"at least {longest}, the larger of gsr.candidate_tokens and gsr.refinement_tokens"
    require(rollout.response_length >= longest, f"{_ROLLOUT}.response_length", rollout.response_length, hint)
    row = rollout.prompt_length + longest
    if rollout.max_model_len is not None:
        hint = f"at least {row} = {_ROLLOUT}.prompt_length + the longest response"
        require(rollout.max_model_len >= row, f"{_ROLLOUT}.max_model_len", rollout.max_model_len, hint)
    if actor.use_dynamic_bsz:
        budgets = {
            f"{_ACTOR}.ppo_max_token_len_per_gpu": actor.ppo_max_token_len_per_gpu,
            f"{_ROLLOUT}.log_prob_max_token_len_per_gpu": rollout.log_prob_max_token_len_per_gpu,
        }
        for key, budget in budgets.items():
            require(budget >= row, key, budget, f"at least {row}, the longest row")


def rows_in_queue(gsr: Gsr, verl: Verl) -> int:
    """The most rows, of a training step or of a validation batch, that are in verl's TransferQueue at once."""
    train = verl.data.train_batch_size * (gsr.k + gsr.training_m + 1)
    episodes = (verl.data.val_batch_size or 0) * verl.rollout.val_kwargs.n
    return max(train, episodes * (gsr.k + gsr.validation.m + 1))


def training_settings(config: Mapping[str, Any]) -> Gsr:
    """The `gsr:` section of verl's composed and resolved configuration, in a process of verl's.

    Raises:
        UsageError: as `check_training`, or a key of `gsr` that is wrong.
    """
    gsr = Gsr.of(config["gsr"], "gsr")
    check_training(gsr, Verl.of(config))
    return gsr
