"""verl's FSDP engine, with each prompt computed once and logits only where a label is predicted.

The M refinements of a prompt share one long prompt, and its K candidates a short one. verl computes a prompt with every
row, and the logits of all its tokens.
"""

import functools
import inspect
import logging
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed
import verl.workers.engine.fsdp.transformer_impl as fsdp
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_id
from verl.utils.model import extract_multi_modal_inputs
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import SHARED_PREFIX
from gsr_rl.verl_plugin.packing import Row, at_least, micro_batches, pack, packed_tokens

logger = logging.getLogger(__name__)

# Attention functions that understand packed groups by their position ids.
ATTENTION = ("packed_sdpa",)
# Marks the data that are computed on the shared path. Holds the rows of each micro-batch.
PLAN = "shared_prefix_rows"
# Largest mean difference between a label's log-probs on both paths, by the float type of the matrix products.
TOLERANCE = {torch.float32: 1e-3}
OTHER_TOLERANCE = 0.05


class SharedPrefixEngine(FSDPEngineWithLMHead):
    """verl's engine for language models. Log-probs, entropies and gradients are those of verl's own engine.

    Key differences from verl's:

    - Rows with the same prompt go into the same micro-batch, and are packed with their prompt once
      (`gsr_rl.verl_plugin.packing`). The budget of a micro-batch counts packed tokens.
    - Logits are computed only where a token in the loss is predicted. The log-probs of other tokens are 0.
    - At first use, both paths are compared on a few rows.

    What cannot be computed this way takes verl's own path; the log says why once.
    """

    def initialize(self) -> None:
        """Build the model as verl does."""
        super().initialize()
        self._compared = False
        self._reasons_told: set[str] = set()
        self._model_reason = model_reason(self)

    def forward_backward_batch(
        self, data: TensorDict, loss_function: Callable[..., Any] | None, forward_only: bool = False
    ) -> Any:
        """As in verl, on the shared path where that is possible.

        Raises:
            UsageError: at first use, the shared path has other log-probs than verl's own.
        """
        reason = self._model_reason or data_reason(data)
        if self._largest_of_ranks(int(bool(reason))):  # the ranks compute together, so all go the same way
            self._tell(reason or "rows of another rank cannot share")
            return super().forward_backward_batch(data, loss_function, forward_only)
        rows = rows_of(data)
        batches, n_split = micro_batches(rows, data["max_token_len_per_gpu"])
        if not self._compared:
            self._compare(data, [i for group in batches[0] for i in group])
            self._compared = True
        batches = at_least(batches, self._largest_of_ranks(len(batches)))
        plan = [[i for group in batch for i in group] for batch in batches]
        tu.assign_non_tensor_data(data, PLAN, plan)
        output = super().forward_backward_batch(data, loss_function, forward_only)
        n_packed = sum(packed_tokens(rows, group) for batch in batches for group in batch)
        output["metrics"]["groups_split"] = [n_split]
        output["metrics"]["row_tokens_per_packed_token"] = [sum(len(row.ids) for row in rows) / n_packed]
        return output

    def prepare_model_inputs(self, micro_batch: TensorDict) -> tuple[dict[str, Any], dict[str, Any]]:
        """verl's inputs of the model, or those of packed groups."""
        if not is_planned(micro_batch):
            return super().prepare_model_inputs(micro_batch)
        packed = pack(rows_of(micro_batch))
        input_ids: Any = micro_batch["input_ids"]
        flat: torch.Tensor = input_ids.values()
        tokens, positions, predictors, at, counts = (
            torch.tensor(indices, device=flat.device)
            for indices in (packed.tokens, packed.positions, packed.predictors, packed.at, packed.counts)
        )
        temperature = micro_batch["temperature"]
        by_row = torch.as_tensor(temperature, dtype=torch.float32, device=flat.device).expand(len(counts))
        inputs = {
            "input_ids": flat[tokens][None],
            "attention_mask": None,
            "position_ids": positions[None],
            "logits_to_keep": predictors,
        }
        # Under the names that verl's prepare_model_outputs reads, with the labels as the only tokens of a row.
        outputs = {
            "input_ids_rmpad_rolled": flat[at + 1],
            "temperature_rmpad": by_row.repeat_interleave(counts),
            "temperature_is_one": not isinstance(temperature, torch.Tensor) and float(temperature) == 1.0,
            "pad_size": 0,
            "at": at,
            "counts": counts,
        }
        return inputs, outputs

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, logits_processor_func: Any
    ) -> dict[str, torch.Tensor]:
        """verl's outputs, which have a value for each token of a row. Tokens that predict no label have 0."""
        if not is_planned(micro_batch):
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        input_ids, at, counts = micro_batch["input_ids"], output_args["at"], output_args["counts"]
        labels = micro_batch.copy()
        offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        labels["input_ids"] = torch.nested.nested_tensor_from_jagged(output_args["input_ids_rmpad_rolled"], offsets)
        by_label = super().prepare_model_outputs(output, output_args, labels, logits_processor_func)
        n_tokens = input_ids.values().shape[0]
        return {
            key: torch.nested.nested_tensor_from_jagged(
                nested.values().new_zeros(n_tokens).index_put((at,), nested.values()), input_ids.offsets()
            )
            for key, nested in by_label.items()
        }

    def _compare(self, data: TensorDict, candidates: list[int]) -> None:
        """Compare the log-probs of a few rows on both paths, alike on all ranks: each forward is one of all ranks."""
        few, left = [], data["max_token_len_per_gpu"]
        lengths = data["input_ids"].offsets().diff().tolist()
        for i in candidates:
            left -= lengths[i]
            if left >= 0 or not few:
                few.append(i)
        rows = tu.index_select_tensor_dict(data, few)
        tu.assign_non_tensor(rows, calculate_entropy=False, calculate_sum_pi_squared=False)
        was_training = self.module.training
        self.module.eval()  # no dropout
        log_probs = []
        with torch.no_grad():
            for plan in (None, [few]):
                tu.assign_non_tensor_data(rows, PLAN, plan)
                _, output = self.forward_step(rows, loss_function=None, forward_only=True)
                log_probs.append(output["model_output"]["log_probs"].values())
        self.module.train(was_training)
        at = torch.tensor(pack(rows_of(rows)).at, device=log_probs[0].device)
        difference = (log_probs[0][at] - log_probs[1][at]).float().abs().mean()
        torch.distributed.all_reduce(
            difference, op=torch.distributed.ReduceOp.MAX, group=self.get_data_parallel_group()
        )
        limit = TOLERANCE.get(self._autocast_dtype, OTHER_TOLERANCE)
        logger.info("log-probs with shared prompts differ by %.1e from verl's own", difference)
        if not difference <= limit:  # NaN too
            raise UsageError(
                f"gsr.shared_prefix=True: log-probs differ by {difference:.2g} on average from verl's own (at most "
                f"{limit}); set gsr.shared_prefix=False, and report the model"
            )

    def _largest_of_ranks(self, number: int) -> int:
        largest = torch.tensor([number], device=get_device_id())
        torch.distributed.all_reduce(largest, op=torch.distributed.ReduceOp.MAX, group=self.get_data_parallel_group())
        return int(largest)

    def _tell(self, reason: str) -> None:
        if self.rank == 0 and reason not in self._reasons_told:
            logger.warning("gsr-rl: every row is computed with its whole prompt: %s", reason)
        self._reasons_told.add(reason)


def model_reason(engine: FSDPEngineWithLMHead) -> str:
    """Why a model cannot share prompts; empty if it can."""
    module: Any = engine.module
    module = module.get_base_model() if hasattr(module, "get_base_model") else module
    config = module.config.get_text_config()
    attention = config._attn_implementation
    windows = {kind for kind in getattr(config, "layer_types", None) or () if kind != "full_attention"}
    reasons = {
        "gsr.shared_prefix=False": os.environ.get(SHARED_PREFIX) == "0",
        f"attn_implementation={attention}": attention not in ATTENTION,
        "use_remove_padding=False": not engine.use_remove_padding,
        "ulysses_sequence_parallel_size > 1": engine.use_ulysses_sp,
        "pad_to_length=True": engine.pad_to_length,
        "use_fused_kernels=True": engine.model_config.use_fused_kernels,
        f"the model has layers of {', '.join(sorted(windows))}": bool(windows),
        "the model has a sliding window": getattr(config, "sliding_window", None) is not None,
        "the model caps attention scores": getattr(config, "attn_logit_softcapping", None) is not None,
        "the model's forward has no logits_to_keep": "logits_to_keep"
        not in inspect.signature(module.forward).parameters,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def data_reason(data: TensorDict) -> str:
    """Why a batch cannot share prompts; empty if it can."""
    images = extract_multi_modal_inputs(data.get("multi_modal_inputs", []))
    reasons = {
        "use_dynamic_bsz=False": not tu.get_non_tensor_data(data, "use_dynamic_bsz", True),
        "distillation of the top k": tu.get_non_tensor_data(data, "distillation_use_topk", False),
        "rows hold more than text": data["position_ids"].dim() == 3 or bool(images),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def rows_of(data: TensorDict) -> list[Row]:
    """The rows of a batch as plain data."""
    ids, masks = ([row.tolist() for row in data[key].unbind()] for key in ("input_ids", "loss_mask"))
    return [Row.of(*row) for row in zip(ids, masks, strict=True)]


def is_planned(data: TensorDict) -> bool:
    """Whether a batch is computed on the shared path."""
    return tu.get_non_tensor_data(data, PLAN, None) is not None


def planned(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """verl's `prepare_micro_batches`, which takes the micro-batches that the data bring along.

    verl 0.9.1 has no method for it: FSDPEngine.forward_backward_batch calls the function by its name in that module.
    """

    @functools.wraps(prepare)
    def wrapper(data: TensorDict, *args: Any, **kwargs: Any) -> Any:
        plan = tu.get_non_tensor_data(data, PLAN, None)
        if plan is None:
            return prepare(data, *args, **kwargs)
        return [tu.index_select_tensor_dict(data, rows) for rows in plan], plan

    return wrapper


fsdp.prepare_micro_batches = planned(fsdp.prepare_micro_batches)  # pyright: ignore[reportPrivateImportUsage]
