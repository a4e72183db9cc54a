"""Attention over packed rows on a CPU: each row by itself, and a prompt that several rows share once.

verl packs the rows of a micro-batch into a single long row (use_remove_padding). transformers' `sdpa` then attends over
the whole length and masks the tokens of other rows. That costs the square of the sum of the lengths, where the sum of
the squares would do. flash-attn avoids the cost, but has no CPU version. A model selects the attention of this module
with attn_implementation `packed_sdpa`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface


def packed_sdpa(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_ids: Tensor | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each packed row, with the signature that transformers expects of an attention function.

    Args:
        query: (1, heads, tokens of all rows, head size).
        key: as `query`, perhaps with fewer heads (grouped queries).
        value: as `key`.
        attention_mask: must be None, as it is for packed rows.
        position_ids: (1, tokens of all rows). Positions that start at 0 begin a row. Positions that go back to p > 0
            begin another response to the row's first p tokens (`gsr_rl.verl_plugin.packing`).
        scaling: of the scores; None means 1 / sqrt(head size).
        sliding_window: of the model, in tokens. It is not applied, and so must not be shorter than any row.

    Returns:
        (1, tokens of all rows, heads, head size), and None for the attention weights.

    Raises:
        ValueError: the rows are not packed, or the sliding window is shorter than a row.
    """
    if attention_mask is not None or position_ids is None or query.shape[0] != 1:
        raise ValueError("attn_implementation=packed_sdpa: rows are not packed; set use_remove_padding=True")
    longest = int(position_ids.max()) + 1
    if sliding_window is not None and longest > sliding_window:
        raise ValueError(f"attn_implementation=packed_sdpa: a row of {longest} tokens, window {sliding_window}")
    prefixes, lengths = _segments(position_ids[0])
    parts = zip(prefixes, *(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    attended, prompt_key, prompt_value = [], key, value
    for prefix, own_query, own_key, own_value in parts:
        if prefix == 0:
            prompt_key, prompt_value, mask = own_key, own_value, None
        else:
            own_key = torch.cat([prompt_key[:, :, :prefix], own_key], dim=2)
            own_value = torch.cat([prompt_value[:, :, :prefix], own_value], dim=2)
            mask = torch.ones(own_query.shape[2], own_key.shape[2], dtype=torch.bool).tril(prefix)
        attended.append(
            scaled_dot_product_attention(
                own_query, own_key, own_value, mask, is_causal=mask is None, scale=scaling, enable_gqa=True
            )
        )
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def _segments(positions: Tensor) -> tuple[list[int], list[int]]:
    """Where positions go back: the position at which each segment starts, and its number of tokens."""
    breaks = torch.nonzero(positions[1:] != positions[:-1] + 1).flatten() + 1
    starts = [0, *breaks.tolist()]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], len(positions)], strict=True)]
    return positions[starts].tolist(), lengths


AttentionInterface.register("packed_sdpa", packed_sdpa)
