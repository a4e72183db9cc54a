"""What two-stage training asks of verl's keys. Bad settings end in one line, before anything starts."""

from collections.abc import Mapping
from typing import Any

from gsr_rl.errors import require
from gsr_rl.settings.gsr import Gsr
from gsr_rl.settings.verl import Checkpoint, Parallel, Rollout, TrainedModel, Verl, VerlSft

_ROLLOUT = "actor_rollout_ref.rollout"
_ACTOR = "actor_rollout_ref.actor"
_REF = "actor_rollout_ref.ref"
_MODEL = "actor_rollout_ref.model"
# In these, a group with equal rewards has no advantage, whatever the other groups. (gpg scales by the whole batch.)
BY_GROUP = ("grpo", "grpo_vectorized", "rloo", "rloo_vectorized", "opo")
# verl's estimators whose baseline is of the row's own group, and which need neither a critic nor fields that rows lack.
ESTIMATORS = (*BY_GROUP, "gpg")
WHITENS_BOTH_STAGES = "reinforce_plus_plus"
# verl's losses, and its ways to sum them up, that divide by the stage's own tokens or rows. In others λ would be lost.
LOSS_MODES = ("vanilla", "dppo_tv", "dppo_kl", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "dro", "cispo")
LOSS_AGG_MODES = ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")


def check_training(gsr: Gsr, verl: Verl) -> None:
    """Refuse what two-stage training cannot do.

    Raises:
        UsageError: one line that names the key, its value, and what it must be.
    """
    _check_rollout(verl.rollout)
    _check_trainer(verl)
    _check_loss(verl)
    _check_batches(gsr, verl)
    _check_budgets(gsr, verl)
    devices = verl.trainer.nnodes * verl.trainer.n_gpus_per_node
    for at, section in parallel_sections(verl).items():
        key, size = section.sequence_parallel
        _check_parallel(f"{at}.{key}", size, devices, _MODEL, verl.model)
    rows, key = rows_in_queue(gsr, verl), "transfer_queue.backend.SimpleStorage.total_storage_size"
    require(verl.queue_size >= rows, key, verl.queue_size, f"at least {rows}, the rows of one step")


def check_sft(sft: VerlSft) -> None:
    """Refuse what SFT cannot do; raises as `check_training`."""
    data, size = sft.data, sft.engine.ulysses_sequence_parallel_size
    key = "sft.engine.ulysses_sequence_parallel_size"
    _check_parallel(key, size, sft.trainer.n_gpus_per_node, "sft.model", sft.model)
    if data.use_dynamic_bsz:
        _check_budget("sft.data.max_token_len_per_gpu", data.max_token_len_per_gpu, size, data.max_length)


def check_checkpoints(verl: Verl, sft: VerlSft) -> None:
    """A training must keep its end, as a model that can be loaded.

    Raises:
        UsageError: nothing would be saved, no Hugging Face model, or adapters instead of a model.
    """
    hint = "at least 1: otherwise verl saves nothing at all; the last step is always saved then"
    require(verl.trainer.save_freq >= 1, "trainer.save_freq", verl.trainer.save_freq, hint)
    _check_model(_MODEL, verl.model, f"{_ACTOR}.checkpoint", verl.actor.checkpoint)
    _check_model("sft.model", sft.model, "sft.checkpoint", sft.checkpoint)


def _check_model(key: str, model: TrainedModel, checkpoint_key: str, checkpoint: Checkpoint) -> None:
    kept, hint = checkpoint.save_contents, "a list with hf_model, which the next stage loads"
    require("hf_model" in kept, f"{checkpoint_key}.save_contents", kept, hint)
    for name, rank in (("lora_rank", model.lora_rank), ("lora.rank", model.lora.rank)):
        hint = "0: verl would save adapters, which nothing here merges into the model"
        require(rank == 0, f"{key}.{name}", rank, hint)
    for name, path in (("lora_adapter_path", model.lora_adapter_path), ("lora.adapter_path", model.lora.adapter_path)):
        require(path is None, f"{key}.{name}", path, "null: nothing here merges adapters into the model")


def _check_rollout(rollout: Rollout) -> None:
    one_temperature = "verl recomputes log-probs with one temperature and the whole distribution"
    require(rollout.temperature > 0, f"{_ROLLOUT}.temperature", rollout.temperature, "above 0 in training")
    require(rollout.top_p == 1, f"{_ROLLOUT}.top_p", rollout.top_p, f"1 in training: {one_temperature}")
    require(rollout.top_k == -1, f"{_ROLLOUT}.top_k", rollout.top_k, f"-1 in training: {one_temperature}")
    require(rollout.n == 1, f"{_ROLLOUT}.n", rollout.n, "1: gsr.k and gsr.m say how many responses a prompt gets")
    require(rollout.val_kwargs.n >= 1, f"{_ROLLOUT}.val_kwargs.n", rollout.val_kwargs.n, "at least 1")
    hint = "False: verl hands on request ids to vLLM then, and here the requests of a prompt and stage share an id"
    require(not rollout.full_determinism, f"{_ROLLOUT}.full_determinism", True, hint)
    hint = "True: the sync guard compares them"
    require(rollout.calculate_log_probs, f"{_ROLLOUT}.calculate_log_probs", False, hint)


def _check_trainer(verl: Verl) -> None:
    trainer, algorithm = verl.trainer, verl.algorithm
    hint = "gsr: verl's other modes (async ones too) have not been proved with two-stage rollouts"
    require(trainer.v1.trainer_mode == "gsr", "trainer.v1.trainer_mode", trainer.v1.trainer_mode, hint)
    require(trainer.use_v1, "trainer.use_v1", trainer.use_v1, "True: verl's V0 trainer has no two-stage rows")
    filters = algorithm.filter_groups is not None and algorithm.filter_groups.enable
    hint = "False: it pools both stages; use gsr.selection"
    require(not filters, "algorithm.filter_groups.enable", filters, hint)
    bypass = algorithm.rollout_correction is not None and algorithm.rollout_correction.bypass_mode
    hint = "False: the sync guard needs old log-probs"
    require(not bypass, "algorithm.rollout_correction.bypass_mode", bypass, hint)
    hint = "False or null: no estimator that works here has a critic"
    require(not verl.critic.enable, "critic.enable", verl.critic.enable, hint)
    hint = "False: verl scores the last row of a prompt alone; a teacher of ours writes SFT rows (stage teach)"
    require(not verl.distillation.enabled, "distillation.enabled", True, hint)
    reward_model = verl.reward.reward_model
    colocated = reward_model.enable and not reward_model.enable_resource_pool
    hint = "used with reward.reward_model.enable_resource_pool=True: candidates are judged before refinement"
    require(not colocated, "reward.reward_model.enable", True, hint)


def _check_loss(verl: Verl) -> None:
    estimator, loss, mode = verl.algorithm.adv_estimator, verl.actor.policy_loss, verl.actor.loss_agg_mode
    hint = f"one of {', '.join(ESTIMATORS)}, or {WHITENS_BOTH_STAGES}, which whitens over both stages"
    require(estimator in (*ESTIMATORS, WHITENS_BOTH_STAGES), "algorithm.adv_estimator", estimator, hint)
    hint = f"one of {', '.join(LOSS_MODES)}, in which λ (gsr.refine_weight) counts"
    require(loss.loss_mode in LOSS_MODES, f"{_ACTOR}.policy_loss.loss_mode", loss.loss_mode, hint)
    lacks_beta = loss.loss_mode == "dro" and (loss.dro_beta or 0) <= 0
    require(not lacks_beta, f"{_ACTOR}.policy_loss.dro_beta", loss.dro_beta, "above 0 with loss_mode=dro")
    hint = f"one of {', '.join(LOSS_AGG_MODES)}, in which λ (gsr.refine_weight) counts"
    require(mode in LOSS_AGG_MODES, f"{_ACTOR}.loss_agg_mode", mode, hint)


def _check_batches(gsr: Gsr, verl: Verl) -> None:
    actor = verl.actor
    require(not actor.shuffle, f"{_ACTOR}.shuffle", actor.shuffle, "False: rows are dealt evenly")
    by_tokens = {
        f"{_ACTOR}.use_dynamic_bsz": actor.use_dynamic_bsz,
        f"{_ROLLOUT}.log_prob_use_dynamic_bsz": verl.rollout.log_prob_use_dynamic_bsz,
        f"{_REF}.log_prob_use_dynamic_bsz": verl.ref.log_prob_use_dynamic_bsz or not verl.has_reference,
    }
    for key, is_dynamic in by_tokens.items():
        hint = "True: steps differ in their number of rows, so micro-batches are cut by tokens"
        require(is_dynamic, key, is_dynamic, hint)
    batch, mini_batch = verl.data.train_batch_size, actor.ppo_mini_batch_size
    hint = f"a divisor of data.train_batch_size={batch} (prompts)"
    divides = 0 < mini_batch <= batch and batch % mini_batch == 0
    require(divides, f"{_ACTOR}.ppo_mini_batch_size", mini_batch, hint)


def _check_budgets(gsr: Gsr, verl: Verl) -> None:
    longest, rollout, actor = gsr.max_response_tokens, verl.rollout, verl.actor
    hint = f"at least {longest}, the larger of gsr.candidate_tokens and gsr.refinement_tokens"
    require(rollout.response_length >= longest, f"{_ROLLOUT}.response_length", rollout.response_length, hint)
    row = rollout.prompt_length + longest
    if rollout.max_model_len is not None:
        hint = f"at least {row} = {_ROLLOUT}.prompt_length + the longest response"
        require(rollout.max_model_len >= row, f"{_ROLLOUT}.max_model_len", rollout.max_model_len, hint)
    size = actor.sequence_parallel[1]
    _check_budget(f"{_ACTOR}.ppo_max_token_len_per_gpu", actor.ppo_max_token_len_per_gpu, size, row)
    name = "log_prob_max_token_len_per_gpu"
    _check_budget(f"{_ROLLOUT}.{name}", rollout.log_prob_max_token_len_per_gpu, size, row)  # by the actor's engine
    if verl.has_reference:
        _check_budget(f"{_REF}.{name}", verl.ref.log_prob_max_token_len_per_gpu, verl.ref.sequence_parallel[1], row)


def _check_budget(key: str, per_gpu: int, size: int, row: int) -> None:
    """A micro-batch of verl's, which has the tokens of `size` GPUs, holds the longest row."""
    shared = f" ({row} tokens) on {size} GPUs" if size > 1 else ""
    require(per_gpu * size >= row, key, per_gpu, f"at least {-(-row // size)}, the longest row{shared}")


def parallel_sections(verl: Verl) -> dict[str, Parallel]:
    """The sections of the models of RL by key, each with its `sequence_parallel`."""
    return {_ACTOR: verl.actor, **({_REF: verl.ref} if verl.has_reference else {})}


def _check_parallel(key: str, size: int, devices: int, model_key: str, model: TrainedModel) -> None:
    if size == 1:
        return
    require(devices % size == 0, key, size, f"a divisor of the number of devices, {devices}")
    hint = f"1 with {model_key}.override_config.attn_implementation={model.attention}: only flash-attn shares rows"
    require(model.attention.startswith("flash_attention"), key, size, hint)
    hint = f"1 with {model_key}.use_remove_padding=False: only packed rows can be shared"
    require(model.use_remove_padding, key, size, hint)


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
