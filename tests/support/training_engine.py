"""An FSDP engine of verl around a tiny random Llama in float32, in this process and without Ray."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed
from tensordict import TensorDict
from transformers import LlamaConfig, LlamaForCausalLM
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig

VOCAB = 61


def write_model(folder: Path, **changes: Any) -> Path:
    """Write a tiny Llama with random weights, large enough that log-probs differ from token to token."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "initializer_range": 0.3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, **shape, **heads, **changes)).save_pretrained(folder)
    return folder


def make_engine(cls: type, model: Path, **model_changes: Any) -> Any:
    """An initialised engine that trains by plain gradient descent, so that a step's change is its gradient."""
    model_config = HFModelConfig(
        path=str(model),
        load_tokenizer=False,
        enable_gradient_checkpointing=False,
        override_config={"attn_implementation": "packed_sdpa"},
        **model_changes,
    )
    engine = cls(
        model_config=model_config,
        engine_config=FSDPEngineConfig(
            strategy="fsdp2",
            mixed_precision={"param_dtype": "fp32"},
            use_torch_compile=False,
            use_remove_padding=True,
        ),
        optimizer_config=FSDPOptimizerConfig(
            lr=0.01, weight_decay=0.0, optimizer="SGD", optimizer_impl="torch.optim", clip_grad=1e9
        ),
        checkpoint_config=CheckpointConfig(),
    )
    engine.initialize()
    return engine


def join_group(file: Path, rank: int = 0, world_size: int = 1) -> None:
    """Join a process group that meets in a file."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world_size)


def parameters(engine: Any) -> torch.Tensor:
    """All parameters in one vector."""
    return torch.cat([parameter.detach().full_tensor().flatten() for parameter in engine.module.parameters()])


def make_batch(rows: list[dict[str, Any]], **settings: Any) -> TensorDict:
    """A batch as verl's trainer sends it: `prompt`, `response`, and more fields of each row.

    Each other field is one number per response token, or a scalar. Settings are the same for all rows, or tensors.
    """
    tensors: dict[str, torch.Tensor] = {}
    for key in rows[0]:
        values = [torch.as_tensor(row[key]) for row in rows]
        name = {"prompt": "prompts", "response": "responses"}.get(key, key)
        tensors[name] = (
            torch.nested.as_nested_tensor(values, layout=torch.jagged) if values[0].dim() else torch.stack(values)
        )
    sequences = [torch.tensor([*row["prompt"], *row["response"]]) for row in rows]
    tensors["input_ids"] = torch.nested.as_nested_tensor(sequences, layout=torch.jagged)
    positions = [torch.arange(len(sequence)) for sequence in sequences]
    tensors["position_ids"] = torch.nested.as_nested_tensor(positions, layout=torch.jagged)
    for key in [key for key, value in settings.items() if isinstance(value, torch.Tensor)]:
        tensors[key] = settings.pop(key)
    data = TensorDict(tensors, batch_size=[len(rows)])
    if "temperature" not in data:
        tu.assign_non_tensor(data, temperature=1.0)
    tu.assign_non_tensor(data, **{"use_dynamic_bsz": True, "use_remove_padding": True, **settings})
    return data
