"""Steps of training on rows with shared prompts, by verl's own engine or ours."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from stub_engine import make_training_worker
from training_engine import VOCAB, join_group, make_batch, make_engine, parameters
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.utils.losses import ppo_loss

import gsr_rl.cpu.attention  # noqa: F401  registers packed_sdpa
from gsr_rl.verl_plugin.actor import GsrTrainingWorker
from gsr_rl.verl_plugin.minibatch import stage_totals
from gsr_rl.verl_plugin.shared_prefix import SharedPrefixEngine

# (is_refinement, tokens of the prompt, tokens of each response): groups whole, cut, and of a single row.
GROUPS = [
    (False, 5, [9, 1, 4, 6]),
    (False, 3, [2, 2]),
    (False, 7, [5]),
    (True, 21, [14, 3, 8, 11]),
    (True, 30, [1, 12, 2]),
]
PADDING_LEN = 20


def make_rows(groups: list[Any] = GROUPS, padding: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    """Rows in random order, with padding as verl's: equal rows of end tokens, without a token in the loss."""
    rng = random.Random(seed)
    rows = [
        {
            "prompt": prompt,
            "response": [rng.randrange(VOCAB) for _ in range(n)],
            "loss_mask": [1] * n,
            "response_mask": [1] * n,
            "advantages": [rng.uniform(-1, 1)] * n,
            "old_log_probs": [rng.uniform(-6, -2) for _ in range(n)],
            "ref_log_prob": [rng.uniform(-6, -2) for _ in range(n)],
            "is_refinement": int(is_refinement),
        }
        for is_refinement, prompt_len, lengths in groups
        for prompt in [[rng.randrange(VOCAB) for _ in range(prompt_len)]]
        for n in lengths
    ]
    pad = {"prompt": [0] * (PADDING_LEN - 1), "response": [0], "is_refinement": 0}
    pad |= {key: [0] for key in ("loss_mask", "response_mask")}
    pad |= {key: [0.0] for key in ("advantages", "old_log_probs", "ref_log_prob")}
    rng.shuffle(rows)
    return rows + [dict(pad) for _ in range(padding)]


def relative_difference(ours: torch.Tensor, stock: torch.Tensor) -> float:
    return float((ours - stock).norm() / stock.norm())


def responses(nested: torch.Tensor, rows: list[dict[str, Any]]) -> torch.Tensor:
    """The values that predict a token in the loss."""
    parts = zip(nested.unbind(), rows, strict=True)
    return torch.cat([values[len(row["prompt"]) - 1 : -1] for values, row in parts if any(row["loss_mask"])])


def log_probs(engine: Any, rows: list[dict[str, Any]], **settings: Any) -> dict[str, torch.Tensor]:
    with engine.eval_mode():
        output = engine.infer_batch(make_batch(rows, calculate_entropy=True, **settings), loss_function=None)
    return {key: responses(values, rows) for key, values in output["model_output"].items()}


def change_of_a_step(
    engine: Any, rows: list[dict[str, Any]], budget: int, refine_weight: float, mini_batches: int, mode: str
) -> tuple[torch.Tensor, dict[str, Any]]:
    """What a whole step of our worker changes, with policy, KL and entropy terms; the engine is as before after it."""
    worker, _ = make_training_worker(GsrTrainingWorker)
    worker.engine = engine
    loss = FSDPActorConfig(strategy="fsdp2", rollout_n=1, use_dynamic_bsz=True, ppo_max_token_len_per_gpu=budget)
    settings = {"loss_agg_mode": mode, "entropy_coeff": 0.05, "use_kl_loss": True, "kl_loss_coef": 0.1}
    for name, value in settings.items():
        object.__setattr__(loss, name, value)  # verl freezes some of them
    worker.set_loss_fn(partial(ppo_loss, config=loss))
    data = make_batch(rows, max_token_len_per_gpu=budget, calculate_entropy=True, refine_weight=refine_weight)
    tu.assign_non_tensor(data, num_mini_batch=mini_batches, epochs=1, seed=0, global_batch_size=1)
    tu.assign_non_tensor_data(data, "dataloader_kwargs", {"shuffle": False})
    tags = [{"stage": "refinement" if row["is_refinement"] else "candidate"} for row in rows]
    totals = stage_totals(tags, [sum(row["loss_mask"]) for row in rows], mini_batches)
    tu.assign_non_tensor_data(data, "stage_totals", totals)
    before = [parameter.detach().clone() for parameter in engine.module.parameters()]
    start = parameters(engine)
    metrics = tu.get(worker.train_mini_batch(data), "metrics")
    change = parameters(engine) - start
    with torch.no_grad():
        for parameter, value in zip(engine.module.parameters(), before, strict=True):
            parameter.copy_(value)
    return change, metrics


def on_two_ranks(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    join_group(folder / "two", rank, 2)
    rows = make_rows()
    share = rows[rank::2]  # the groups are cut, and the ranks have different numbers of micro-batches
    engines = [make_engine(cls, folder) for cls in (FSDPEngineWithLMHead, SharedPrefixEngine)]
    stock, ours = (log_probs(engine, share, max_token_len_per_gpu=60) for engine in engines)
    for key in stock:
        assert relative_difference(ours[key], stock[key]) < 1e-5
    (stock, _), (ours, _) = (change_of_a_step(engine, share, 60, 0.3, 1, "token-mean") for engine in engines)
    assert relative_difference(ours, stock) < 1e-5
    torch.distributed.destroy_process_group()
