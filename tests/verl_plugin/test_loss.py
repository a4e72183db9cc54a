"""The λ-weighted loss around verl's own ppo_loss: gradients against closed forms written down independently."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from stub_engine import make_training_worker
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig
from verl.workers.utils.losses import ppo_loss

from gsr_rl.verl_plugin.actor import GsrActorRolloutRefWorker, GsrTrainingWorker, stage_view, stage_weighted_loss

MODES = ["token-mean", "seq-mean-token-sum", "seq-mean-token-mean"]
ENTROPY_COEFF, KL_COEFF = 0.01, 0.1


@dataclass
class Row:
    prompt_len: int
    is_refinement: bool
    mask: list[int]
    advantage: float
    old: np.ndarray
    new: np.ndarray
    ref: np.ndarray

    @property
    def response_len(self) -> int:
        return len(self.mask)


def make_rows(shapes: Sequence[tuple[int, bool, list[int], float]], seed: int = 0) -> list[Row]:
    """Rows whose policies are so close to each other that no ratio is clipped."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt_len, is_refinement, mask, advantage in shapes:
        old = rng.uniform(-2.0, -0.1, len(mask))
        near = [old + rng.uniform(-0.1, 0.1, len(mask)) for _ in range(2)]
        rows.append(Row(prompt_len, is_refinement, mask, advantage, old, near[0], near[1]))
    return rows


ROWS = make_rows(
    [
        (3, False, [1] * 5, 1.5),
        (3, False, [1] * 2, -0.5),
        (3, False, [1] * 7, -0.5),
        (6, True, [1] * 4, 0.7),
        (6, True, [1] * 9, -0.7),
    ]
)


def padding_row(is_refinement: bool) -> Row:
    zero = np.zeros(1)
    return Row(4, is_refinement, [0], 0.0, zero, zero, zero)


def totals_of(rows: Sequence[Row]) -> list[list[int]]:
    by_stage = [[sum(row.mask) for row in rows if row.is_refinement == stage] for stage in (False, True)]
    return [[sum(tokens), sum(n > 0 for n in tokens)] for tokens in by_stage]


def nested(parts: Sequence[Any], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.as_tensor(part, dtype=dtype) for part in parts], layout=torch.jagged)


def make_data(rows: Sequence[Row], refine_weight: float, totals: list[list[int]], dp_size: int = 1) -> TensorDict:
    """A micro-batch as verl's engine hands it to the loss."""
    tensors = {
        "prompts": nested([np.ones(row.prompt_len) for row in rows], torch.int64),
        "responses": nested([np.ones(row.response_len) for row in rows], torch.int64),
        "response_mask": nested([row.mask for row in rows], torch.int64),
        "loss_mask": nested([row.mask for row in rows], torch.int64),
        "old_log_probs": nested([row.old for row in rows]),
        "ref_log_prob": nested([row.ref for row in rows]),
        "advantages": nested([np.full(row.response_len, row.advantage) for row in rows]),
        "is_refinement": torch.tensor([int(row.is_refinement) for row in rows]),
    }
    data = TensorDict(tensors, batch_size=[len(rows)])
    tu.assign_non_tensor(
        data,
        refine_weight=refine_weight,
        dp_size=dp_size,
        batch_num_tokens=sum(sum(row.mask) for row in rows),  # of both stages, as the engine sets it
        global_batch_size=len(rows),
    )
    tu.assign_non_tensor_data(data, "stage_totals", totals)
    return data


def full_sequence(row: Row, response: np.ndarray) -> np.ndarray:
    """verl's model output: one value per token of the sequence, for the *next* token."""
    return np.concatenate([np.zeros(row.prompt_len - 1), response, np.zeros(1)])


def actor_config(mode: str, **changes: Any) -> FSDPActorConfig:
    config = FSDPActorConfig(strategy="fsdp2", rollout_n=1, use_dynamic_bsz=True, ppo_max_token_len_per_gpu=64)
    settings = {"loss_agg_mode": mode, "entropy_coeff": ENTROPY_COEFF, "use_kl_loss": True, "kl_loss_coef": KL_COEFF}
    for name, value in (settings | {"kl_loss_type": "low_var_kl", "clip_ratio": 0.2} | changes).items():
        object.__setattr__(config, name, value)  # verl freezes some of them
    return config


def gradients(
    rows: Sequence[Row], refine_weight: float, mode: str, totals: list[list[int]] | None = None, dp_size: int = 1
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """Loss, and its gradients with respect to the response tokens' log-probs and entropies, row by row."""
    data = make_data(rows, refine_weight, totals or totals_of(rows), dp_size)
    leaves = [torch.tensor(full_sequence(row, row.new), requires_grad=True) for row in rows]
    entropies = [torch.full((row.prompt_len + row.response_len,), 0.5).double().requires_grad_() for row in rows]
    output = {
        "log_probs": torch.nested.as_nested_tensor(leaves, layout=torch.jagged),
        "entropy": torch.nested.as_nested_tensor(entropies, layout=torch.jagged),
    }
    loss, _ = stage_weighted_loss(partial(ppo_loss, config=actor_config(mode)), output, data)
    loss.backward()

    def of_responses(tensors: Sequence[torch.Tensor]) -> list[np.ndarray]:
        grads = [np.zeros(len(t)) if t.grad is None else t.grad.numpy() for t in tensors]
        return [grad[row.prompt_len - 1 : -1] for grad, row in zip(grads, rows, strict=True)]

    return loss.item(), of_responses(leaves), of_responses(entropies)


def closed_form(
    rows: Sequence[Row], refine_weight: float, mode: str
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """Loss and gradients as in `gradients`, with derivatives worked out by hand.

    L = (1 - λ) mean over candidates' tokens + λ mean over refinements' tokens (over sequences under the seq-mean modes)
    of -A ratio - c_H entropy + c_KL (exp(r) - r - 1), with r = ref - new.
    """
    value, by_log_prob, by_entropy = 0.0, [], []
    for row in rows:
        peers = [peer for peer in rows if peer.is_refinement == row.is_refinement and sum(peer.mask)]
        stage_weight = refine_weight if row.is_refinement else 1 - refine_weight
        scale = {
            "token-mean": 1 / max(1, sum(sum(peer.mask) for peer in peers)),
            "seq-mean-token-sum": 1 / max(1, len(peers)),
            "seq-mean-token-mean": 1 / max(1, len(peers)) / max(1, sum(row.mask)),
        }[mode]
        weight = stage_weight * scale * np.array(row.mask)
        ratio, r = np.exp(row.new - row.old), row.ref - row.new
        loss = -row.advantage * ratio - ENTROPY_COEFF * 0.5 + KL_COEFF * (np.exp(r) - r - 1)
        value += float((weight * loss).sum())
        by_log_prob.append(weight * (-row.advantage * ratio + KL_COEFF * (1 - np.exp(r))))
        by_entropy.append(weight * -ENTROPY_COEFF)
    return value, by_log_prob, by_entropy


def assert_same(got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    for array, expected in zip(got, wanted, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("refine_weight", [0.0, 0.2, 0.5, 1.0])
def test_policy_kl_and_entropy_gradients_are_those_of_the_closed_form(mode: str, refine_weight: float) -> None:
    loss, by_log_prob, by_entropy = gradients(ROWS, refine_weight, mode)
    wanted, wanted_log_prob, wanted_entropy = closed_form(ROWS, refine_weight, mode)
    assert loss == pytest.approx(wanted, rel=1e-6)
    assert_same(by_log_prob, wanted_log_prob)
    assert_same(by_entropy, wanted_entropy)


def test_gradients_worked_out_by_hand() -> None:
    # On policy (ratio 1, no KL): a token's gradient is its stage's weight times -advantage / its stage's tokens,
    # 2 + 1 of candidates and 4 of refinements.
    rows = make_rows([(2, False, [1, 1], 1.0), (2, False, [1], -1.0), (3, True, [1] * 4, 2.0)])
    rows = [dataclasses.replace(row, new=row.old, ref=row.old) for row in rows]
    _, by_log_prob, by_entropy = gradients(rows, 0.25, "token-mean")
    assert_same(by_log_prob, [np.array([-0.25, -0.25]), np.array([0.25]), np.full(4, -0.125)])
    assert_same(by_entropy, [np.full(2, -0.0025), np.array([-0.0025]), np.full(4, -0.000625)])


@pytest.mark.parametrize(("refine_weight", "masked"), [(0.0, True), (1.0, False)])
def test_a_weight_of_zero_or_one_masks_the_other_stage(refine_weight: float, masked: bool) -> None:
    _, by_log_prob, by_entropy = gradients(ROWS, refine_weight, "token-mean")
    for row, of_log_prob, of_entropy in zip(ROWS, by_log_prob, by_entropy, strict=True):
        both = np.concatenate([of_log_prob, of_entropy])
        assert (both == 0).all() if row.is_refinement == masked else (both != 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_stage_without_rows_leaves_the_other_its_own_weight(mode: str) -> None:
    for rows in ([row for row in ROWS if not row.is_refinement], [row for row in ROWS if row.is_refinement]):
        loss, by_log_prob, _ = gradients(rows, 0.25, mode)
        weight = 0.25 if rows[0].is_refinement else 0.75
        whole, whole_log_prob, _ = closed_form(rows, float(rows[0].is_refinement), mode)
        assert loss == pytest.approx(weight * whole)
        assert_same(by_log_prob, [weight * gradient for gradient in whole_log_prob])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("split", [1, 3, 4])
def test_micro_batches_sum_to_the_whole_mini_batch(mode: str, split: int) -> None:
    loss, by_log_prob, by_entropy = gradients(ROWS, 0.3, mode)
    parts = [gradients(rows, 0.3, mode, totals_of(ROWS)) for rows in (ROWS[:split], ROWS[split:])]
    assert sum(part[0] for part in parts) == pytest.approx(loss)
    assert_same([*parts[0][1], *parts[1][1]], by_log_prob)
    assert_same([*parts[0][2], *parts[1][2]], by_entropy)


@pytest.mark.parametrize("mode", MODES)
def test_the_mean_of_two_ranks_is_the_whole_mini_batch(mode: str) -> None:
    # FSDP averages gradients over ranks, so each of the two ranks has to compute twice its share.
    _, by_log_prob, _ = gradients(ROWS, 0.3, mode)
    ranks = [gradients(rows, 0.3, mode, totals_of(ROWS), dp_size=2)[1] for rows in (ROWS[:2], ROWS[2:])]
    assert_same([gradient / 2 for rank in ranks for gradient in rank], by_log_prob)


@pytest.mark.parametrize("mode", MODES)
def test_padding_rows_change_nothing(mode: str) -> None:
    loss, by_log_prob, _ = gradients(ROWS, 0.3, mode)
    padded_loss, padded, _ = gradients([*ROWS, padding_row(False), padding_row(True)], 0.3, mode)
    assert padded_loss == pytest.approx(loss)
    assert_same(padded[: len(ROWS)], by_log_prob)
    assert all((gradient == 0).all() for gradient in padded[len(ROWS) :])


@pytest.mark.parametrize("mode", MODES)
def test_a_mini_batch_of_padding_alone_gives_zero_and_no_nan(mode: str) -> None:
    loss, by_log_prob, by_entropy = gradients([padding_row(False), padding_row(True)], 0.5, mode)
    assert loss == 0.0
    assert all((gradient == 0).all() for gradient in [*by_log_prob, *by_entropy])


def test_metrics_are_weighted_as_the_loss_is() -> None:
    data = make_data(ROWS, 0.25, totals_of(ROWS))
    output = {"log_probs": nested([full_sequence(row, row.new) for row in ROWS])}
    config = actor_config("token-mean", entropy_coeff=0.0, kl_loss_coef=0.5)
    loss, metrics = stage_weighted_loss(partial(ppo_loss, config=config), output, data)
    pg_loss, kl_loss = metrics["actor/pg_loss"].aggregate(), metrics["kl_loss"].aggregate()
    assert pg_loss + 0.5 * kl_loss == pytest.approx(float(loss))
    # -A ratio, averaged by stage
    means = []
    for stage in (False, True):
        rows = [row for row in ROWS if row.is_refinement == stage]
        means.append(np.concatenate([-row.advantage * np.exp(row.new - row.old) for row in rows]).mean())
    assert pg_loss == pytest.approx(0.75 * means[0] + 0.25 * means[1])
    assert metrics["kl_coef"] == pytest.approx(0.5)


def test_a_view_masks_the_other_stage_and_leaves_the_data_alone() -> None:
    data = make_data(ROWS, 0.5, totals_of(ROWS))
    view = stage_view(data, True, tokens=13, rows=2)
    assert [row.tolist() for row in view["response_mask"].unbind()] == [[0] * 5, [0] * 2, [0] * 7, [1] * 4, [1] * 9]
    assert [row.tolist() for row in data["response_mask"].unbind()] == [row.mask for row in ROWS]
    assert (view["batch_num_tokens"], view["global_batch_size"]) == (13, 2)
    assert (data["batch_num_tokens"], data["global_batch_size"]) == (27, 5)


# The worker around it


@pytest.mark.parametrize("rows", [4, 8, 12])
def test_the_number_of_optimizer_steps_does_not_depend_on_the_number_of_rows(rows: int) -> None:
    worker, engine = make_training_worker(GsrTrainingWorker)
    shapes = [(2, i % 2 == 1, [1] * (1 + i), 1.0) for i in range(rows)]
    data = make_data(make_rows(shapes), 0.5, [])
    # Both keys arrive: verl's own size, which would be wrong here, and our number.
    tu.assign_non_tensor(data, mini_batch_size=4, num_mini_batch=2, epochs=1, seed=0)
    tu.assign_non_tensor_data(data, "dataloader_kwargs", {"shuffle": False})
    worker.train_mini_batch(data)
    assert [len(batch) for batch in engine.batches] == [rows // 2] * 2


def test_the_worker_wraps_the_loss_that_verl_gives_it() -> None:
    worker, _ = make_training_worker(GsrTrainingWorker)
    worker.set_loss_fn(partial(ppo_loss, config=actor_config("token-mean")))
    output = {"log_probs": nested([full_sequence(row, row.new) for row in ROWS])}
    loss, _ = worker.loss_fn(model_output=output, data=make_data(ROWS, 0.5, totals_of(ROWS)), dp_group=None)
    without_entropy = closed_form(ROWS, 0.5, "token-mean")[0] + ENTROPY_COEFF * 0.5
    assert math.isclose(float(loss), without_entropy, rel_tol=1e-6)
    assert GsrActorRolloutRefWorker.actor_worker_cls is GsrTrainingWorker
