"""The actor's side: a λ-weighted loss, and as many optimizer steps as configured whatever the number of rows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.metric import Metric
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

Loss = Callable[..., tuple[torch.Tensor, dict[str, Any]]]


def stage_weighted_loss(loss_fn: Loss, model_output: dict[str, Any], data: TensorDict, dp_group: Any = None) -> Any:
    """L = (1 - λ) L(candidate rows) + λ L(refinement rows), each by verl's own `loss_fn` (policy, KL, entropy).

    Each stage is normalised by its own tokens (rows, under the seq-mean modes) in the step over all ranks: over the
    mini-batches the mean over its tokens, whatever the other stage's number or length, and whichever rows without
    an advantage were left out. A stage without rows adds nothing and leaves the other its own weight.

    Args:
        data: a micro-batch with `is_refinement` (rows,), `refine_weight` λ, and `stage_totals`, (2, 2) of
            `gsr_rl.verl_plugin.minibatch.stage_totals`.
    """
    refine_weight = float(data["refine_weight"])
    totals = tu.get_non_tensor_data(data, "stage_totals", default=None)
    loss = sum(part.sum() for part in model_output["log_probs"].unbind()) * 0.0  # a graph for a mini-batch of padding
    metrics: dict[str, Any] = {}
    for is_refinement, weight in enumerate((1.0 - refine_weight, refine_weight)):
        tokens, rows = totals[is_refinement]
        if weight == 0.0 or tokens == 0:
            continue
        view = stage_view(data, bool(is_refinement), tokens, rows)
        stage_loss, stage_metrics = loss_fn(model_output=model_output, data=view, dp_group=dp_group)
        loss = loss + weight * stage_loss
        for key, value in stage_metrics.items():
            metrics[key] = _weighted_sum(metrics.get(key), value, weight)
    return loss, metrics


def stage_view(data: TensorDict, is_refinement: bool, tokens: float, rows: float) -> TensorDict:
    """`data` with the other stage's tokens masked out, and this stage's totals as those of the mini-batch."""
    keep = data["is_refinement"].bool() == is_refinement
    masked = [row * flag for row, flag in zip(data["response_mask"].unbind(), keep.unbind(), strict=True)]
    view = data.copy()
    view["response_mask"] = torch.nested.as_nested_tensor(masked, layout=torch.jagged)
    tu.assign_non_tensor(view, batch_num_tokens=tokens, global_batch_size=rows)
    return view


def _weighted_sum(total: Any, value: Any, weight: float) -> Any:
    if isinstance(value, Metric):
        old = total.values if total is not None else [0.0] * len(value.values)
        new = [a + weight * b for a, b in zip(old, value.values, strict=True)]
        weighted = Metric(aggregation=value.aggregation)
        weighted.extend(new)
        return weighted
    return (total or 0.0) + weight * value


class GsrTrainingWorker(TrainingWorker):
    def set_loss_fn(self, loss_fn: Loss) -> None:
        super().set_loss_fn(partial(stage_weighted_loss, loss_fn))

    def train_mini_batch(self, data: TensorDict) -> TensorDict:
        # The trainer sends both: verl's size in rows, which assumes a fixed number of rows a prompt, and the number of
        # mini-batches, which we want (TrainingWorker takes the size first).
        tu.pop(data, key="mini_batch_size", default=None)
        return super().train_mini_batch(data)


class GsrActorRolloutRefWorker(ActorRolloutRefWorker):
    actor_worker_cls = GsrTrainingWorker
