"""Attention over packed rows on a CPU: each row by itself.

verl packs the rows of a micro-batch into one long row (use_remove_padding). transformers' `sdpa` then attends over the
whole length and masks what belongs to other rows, which costs the square of the sum of the lengths; flash-attn, which
does not, has no CPU version. A model asks for this one by the name `packed_sdpa` as its attn_implementation.
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
    """Causal attention within each packed row, in transformers' convention of an attention function.

    Args:
        query: (1, heads, tokens, head size); key and value may have fewer heads.
        position_ids: (1, tokens), each row's from 0.

    Returns:
        (1, tokens, heads, head size), and no attention weights.

    Raises:
        ValueError: rows that are not packed, or a model with a sliding window that is shorter than a row.
    """
    if attention_mask is not None or position_ids is None or query.shape[0] != 1:
        raise ValueError("attn_implementation=packed_sdpa: rows are not packed; set use_remove_padding=True")
    starts = torch.nonzero(position_ids[0] == 0).flatten().tolist()
    lengths = [end - start for start, end in zip(starts, [*starts[1:], query.shape[2]], strict=True)]
    if sliding_window is not None and max(lengths) > sliding_window:
        raise ValueError(f"attn_implementation=packed_sdpa: a row of {max(lengths)} tokens, window {sliding_window}")
    rows = zip(*(one.split(lengths, dim=2) for one in (query, key, value)), strict=True)
    attended = [scaled_dot_product_attention(*row, is_causal=True, scale=scaling, enable_gqa=True) for row in rows]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register("packed_sdpa", packed_sdpa)
