"""The keys of verl's configuration that our code reads. verl's own dataclasses check the rest, before any training.

`gsr_rl.settings.two_stage` says what two-stage training asks of them.
"""

from typing import Annotated, Any, Self

from pydantic import AliasPath, BeforeValidator, ConfigDict, Field, model_validator

from gsr_rl.section import Section, require_field

FLASH = "flash_attention_2"  # how verl's trainers attend unless told otherwise


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
    max_prompt_length: int = Field(ge=1)
    filter_overlong_prompts: bool
    apply_chat_template_kwargs: dict[str, Any]


class ValidationSampling(Facts):
    """`actor_rollout_ref.rollout.val_kwargs`: n validation episodes of a problem."""

    n: int


class Rollout(Facts):
    """`actor_rollout_ref.rollout`: lengths in tokens, sampling in training, and the engine."""

    prompt_length: int = Field(ge=1)
    response_length: int
    max_model_len: int | None
    max_num_seqs: int = Field(ge=1)
    tensor_model_parallel_size: int = Field(ge=1)
    dtype: str
    enforce_eager: bool
    temperature: float
    top_p: float
    top_k: int
    n: int
    calculate_log_probs: bool
    full_determinism: bool
    log_prob_use_dynamic_bsz: bool
    log_prob_max_token_len_per_gpu: int
    val_kwargs: ValidationSampling


class Checkpoint(Facts):
    """`checkpoint`: what a checkpoint holds."""

    save_contents: list[str]


class Engine(Facts):
    """verl's FSDP engine: how many devices share a row."""

    ulysses_sequence_parallel_size: int = Field(default=1, ge=1)


class Parallel(Facts):
    """What actor and reference model have in common: an engine, and verl's older key for one of its values."""

    ulysses_sequence_parallel_size: int = Field(default=1, ge=1)
    fsdp_config: Engine = Engine()

    @property
    def sequence_parallel(self) -> tuple[str, int]:
        """The key that counts, and how many devices share a row."""
        key = "ulysses_sequence_parallel_size"
        if self.ulysses_sequence_parallel_size > 1:
            return key, self.ulysses_sequence_parallel_size
        return f"fsdp_config.{key}", self.fsdp_config.ulysses_sequence_parallel_size


class PolicyLoss(Facts):
    """`actor_rollout_ref.actor.policy_loss`."""

    loss_mode: str
    dro_beta: float | None = None


class Actor(Parallel):
    """`actor_rollout_ref.actor`: the loss, mini-batches in prompts, micro-batches in tokens."""

    checkpoint: Checkpoint
    loss_agg_mode: str
    policy_loss: PolicyLoss
    use_kl_loss: bool
    ppo_mini_batch_size: int
    use_dynamic_bsz: bool
    ppo_max_token_len_per_gpu: int
    shuffle: bool


class Reference(Parallel):
    """`actor_rollout_ref.ref`: the reference model, which verl needs for KL terms alone."""

    log_prob_use_dynamic_bsz: bool
    log_prob_max_token_len_per_gpu: int


class Lora(Facts):
    """`lora` of a model: the adapters of verl's other engines."""

    rank: int = 0
    adapter_path: str | None = None


class TrainedModel(Facts):
    """A model that verl trains. `path` is null for the latest model of the chain."""

    path: str | None
    override_config: dict[str, Any] | None = None
    use_remove_padding: bool
    lora_rank: int = 0
    lora_adapter_path: str | None = None
    lora: Lora = Lora()

    @property
    def attention(self) -> str:
        """How the trainer attends."""
        return (self.override_config or {}).get("attn_implementation", FLASH)


class V1(Facts):
    """`trainer.v1`."""

    trainer_mode: str


class Trainer(Facts):
    """`trainer`: devices and steps."""

    device: str
    nnodes: int = Field(ge=1)
    n_gpus_per_node: int = Field(ge=1)
    total_training_steps: int | None = Field(ge=1)
    total_epochs: int = Field(ge=1)
    save_freq: int
    test_freq: int
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
    use_kl_in_reward: bool
    filter_groups: FilterGroups | None = None
    rollout_correction: RolloutCorrection | None = None


class Critic(Facts):
    """`critic`."""

    enable: bool | None


class Distillation(Facts):
    """`distillation`: verl's own on-policy distillation."""

    enabled: bool


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

    num_workers: int = Field(ge=1)
    reward_model: RewardModel
    custom_reward_function: RewardFunction


class Verl(Facts):
    """verl's RL configuration, as far as our code reads it."""

    data: Data
    model: TrainedModel = Field(validation_alias=AliasPath("actor_rollout_ref", "model"))
    actor: Actor = Field(validation_alias=AliasPath("actor_rollout_ref", "actor"))
    ref: Reference = Field(validation_alias=AliasPath("actor_rollout_ref", "ref"))
    rollout: Rollout = Field(validation_alias=AliasPath("actor_rollout_ref", "rollout"))
    algorithm: Algorithm
    critic: Critic
    distillation: Distillation
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
    def has_reference(self) -> bool:
        """Whether there is a reference model."""
        return self.actor.use_kl_loss or self.algorithm.use_kl_in_reward

    @property
    def is_on_cpu(self) -> bool:
        """Whether the recipe is for a machine without an accelerator."""
        return self.trainer.device == "cpu"


class SftData(Facts):
    """`sft.data`: rows and batches; null files are filled in by the stage."""

    train_files: Files | None
    val_files: Files | None
    train_batch_size: int = Field(ge=1)
    max_length: int = Field(ge=1)
    use_dynamic_bsz: bool
    max_token_len_per_gpu: int
    apply_chat_template_kwargs: dict[str, Any]

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        value, hint = self.apply_chat_template_kwargs, "set as data.apply_chat_template_kwargs, which holds for SFT too"
        require_field(not value, "apply_chat_template_kwargs", value, hint)
        return self


class SftTrainer(Facts):
    """`sft.trainer`: devices, steps and names."""

    n_gpus_per_node: int = Field(ge=1)
    total_training_steps: int | None = Field(ge=1)
    total_epochs: int = Field(ge=1)
    experiment_name: str | None
    seed: int | None


class VerlSft(Facts):
    """verl's SFT configuration, as far as our code reads it."""

    checkpoint: Checkpoint
    data: SftData
    engine: Engine
    model: TrainedModel
    trainer: SftTrainer
