"""The actor's side of training: a λ-weighted loss, and a number of optimizer steps that the rows do not change."""

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

    Each stage is normalised by its own number of tokens (of rows, under the seq-mean modes) in the whole step over all
    ranks. Over the mini-batches its loss is the mean over its tokens. Neither the other stage's rows and lengths nor
    the rows that were left out for want of an advantage change that. A stage without rows adds nothing, and the other
    stage keeps its weight.

    Args:
        loss_fn: a loss of verl, such as `ppo_loss` with its configuration bound.
        model_output: `log_probs` and, where configured, `entropy`: nested (rows, tokens of prompt and response).
        data: a micro-batch with `is_refinement` (rows,), `refine_weight` λ, and `stage_totals`, the (2, 2) numbers of
            `gsr_rl.verl_plugin.minibatch.stage_totals`.

    Returns:
        The loss (a scalar with a graph), and `loss_fn`'s metrics, weighted as the loss is.
    """
    refine_weight = float(data["refine_weight"])
    totals = tu.get_non_tensor_data(data, "stage_totals", default=None)
    # A mini-batch of padding alone needs a graph too.
    loss = sum(row.sum() for row in model_output["log_probs"].unbind()) * 0.0
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
    """`data` with the other stage's tokens masked out, and this stage's totals in place of the mini-batch's.

    Args:
        tokens: response tokens of the stage in a mini-batch (`batch_num_tokens` in verl), over all ranks.
        rows: its rows with such tokens (`global_batch_size` in verl), over all ranks.

    Returns:
        A shallow copy; `data` itself stays as it is.
    """
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
    """verl's `TrainingWorker` for rows of two stages.

    Key differences from verl's:

    - The loss is `stage_weighted_loss` around the loss that verl sets: each stage has its own weight and normalisation.
    - A batch is split into a given number of mini-batches, not into mini-batches of a given number of rows: a prompt
      has no fixed number of rows here, and the number of optimizer steps must not depend on it.
    """

    def set_loss_fn(self, loss_fn: Loss) -> None:
        """Take verl's loss, and weight it by stage."""
        super().set_loss_fn(partial(stage_weighted_loss, loss_fn))

    def train_mini_batch(self, data: TensorDict) -> TensorDict:
        """Train on this rank's share of a batch, in `num_mini_batch` optimizer steps."""
        # The trainer sends both sizes: verl's number of rows, which assumes a fixed number of rows per prompt, and our
        # number of mini-batches. TrainingWorker prefers the number of rows, so that has to go.
        tu.pop(data, key="mini_batch_size", default=None)
        return super().train_mini_batch(data)


class GsrActorRolloutRefWorker(ActorRolloutRefWorker):
    """verl's worker of actor, rollout and reference model.

    Key difference from verl's: the actor is a `GsrTrainingWorker`. The reference model stays verl's own.
    """

    actor_worker_cls = GsrTrainingWorker
