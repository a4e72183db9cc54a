"""Rows packed into a long row: each must come out as if it had been alone."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import gsr_rl.cpu.attention

CONFIG = LlamaConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)


@pytest.fixture
def models() -> tuple[LlamaForCausalLM, LlamaForCausalLM]:
    """A model with packed attention, and a model with the same weights and transformers' plain attention."""
    torch.manual_seed(0)
    plain = LlamaForCausalLM._from_config(CONFIG, attn_implementation="eager")
    packed = LlamaForCausalLM._from_config(CONFIG, attn_implementation="packed_sdpa")
    packed.load_state_dict(plain.state_dict())
    return packed, plain


def test_packed_rows_have_the_logits_and_gradients_of_rows_alone(
    models: tuple[LlamaForCausalLM, LlamaForCausalLM],
) -> None:
    packed, plain = models
    rows = [torch.randint(0, 50, (1, length)) for length in (5, 1, 9)]
    positions = torch.cat([torch.arange(row.shape[1]) for row in rows])[None]
    together = packed(input_ids=torch.cat(rows, dim=1), position_ids=positions, use_cache=False).logits
    alone = torch.cat([plain(input_ids=row, use_cache=False).logits for row in rows], dim=1)
    assert torch.allclose(together, alone, atol=1e-5)

    target = torch.randn_like(alone)
    (together * target).sum().backward()
    (alone * target).sum().backward()
    for ours, theirs in zip(packed.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-4)


def test_padded_rows_and_short_windows_are_refused(models: tuple[LlamaForCausalLM, LlamaForCausalLM]) -> None:
    packed, _ = models
    with pytest.raises(ValueError, match="not packed"):
        packed(input_ids=torch.ones(2, 3, dtype=torch.long), use_cache=False)
    zeros = torch.zeros(1, 4, 6, 8)
    with pytest.raises(ValueError, match="a row of 4 tokens, window 3"):
        gsr_rl.cpu.attention.packed_sdpa(
            packed, zeros, zeros, zeros, None, position_ids=torch.tensor([[0, 1, 0, 1, 2, 3]]), sliding_window=3
        )
