"""Attention over packed rows on a CPU: each row by itself.

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
        position_ids: (1, tokens of all rows). Each row's positions start at 0; that is how rows are told apart.
        scaling: of the scores; None means 1 / sqrt(head size).
        sliding_window: of the model, in tokens. It is not applied, and so must not be shorter than any row.

    Returns:
        (1, tokens of all rows, heads, head size), and None for the attention weights.

    Raises:
        ValueError: the rows are not packed, or the sliding window is shorter than a row.
    """
    if attention_mask is not None or position_ids is None or query.shape[0] != 1:
        raise ValueError("attn_implementation=packed_sdpa: rows are not packed; set use_remove_padding=True")
    starts = torch.nonzero(position_ids[0] == 0).flatten().tolist()
    lengths = [end - start for start, end in zip(starts, [*starts[1:], query.shape[2]], strict=True)]
    if sliding_window is not None and max(lengths) > sliding_window:
        raise ValueError(f"attn_implementation=packed_sdpa: a row of {max(lengths)} tokens, window {sliding_window}")
    rows = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    attended = [scaled_dot_product_attention(*row, is_causal=True, scale=scaling, enable_gqa=True) for row in rows]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register("packed_sdpa", packed_sdpa)
