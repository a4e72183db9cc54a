"""Log-probs and updates with shared prompts against verl's own engine: ratios of time, side by side in one run.

    VERL_PLATFORM=cpu python bench/shared_prefix.py [--problems 4] [--repeats 3] [--dtype bf16] [--model FOLDER]

The rows have the quickstart's shape: for each problem 4 candidates of about 10 tokens on a prompt of 60, and 4
refinements of up to 112 tokens on a prompt of 170. The model has SmolLM2-135M's shape and random weights, unless a
folder is given. "log-probs" is a forward pass with entropies, "update" a forward and a backward pass; the optimizer's
step, which sharing does not change, is left out. The best of the repeats counts, because others may use the machine.
The machine's matrix rate is that of a large product in the same float type. Shares of the rate count 2 operations per
weight and token in a forward pass, 6 with the backward pass, and leave attention out.
"""

import argparse
import logging
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("VERL_PLATFORM", "cpu")  # verl reads it when it is imported

import torch
import torch.distributed
from figures import figure
from tensordict import TensorDict
from transformers import LlamaConfig, LlamaForCausalLM
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

import gsr_rl.cpu.engine  # noqa: F401  registers packed_sdpa, and bounds caches of compiled matrix products
from gsr_rl.verl_plugin.shared_prefix import SharedPrefixEngine

VOCAB = 49152
BUDGET = 1280  # tokens of a micro-batch, as in the quickstart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("gsr_rl").setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        store = f"file://{folder}/group"
        torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
        model = options.model or random_model(Path(folder, "model"))
        engines = {
            "verl": make_engine(FSDPEngineWithLMHead, model, options.dtype),
            "shared": make_engine(SharedPrefixEngine, model, options.dtype),
        }
        dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
        compare(engines, options.problems, options.repeats, dtype)
        torch.distributed.destroy_process_group()


def compare(engines: dict[str, Any], problems: int, repeats: int, dtype: torch.dtype) -> None:
    """Print the time of each part by each engine, their ratio, and their share of the machine's matrix rate."""
    rows = quickstart_rows(random.Random(0), problems)
    tokens = sum(len(prompt) + len(response) for prompt, response in rows)
    n_logits = sum(len(response) for _, response in rows)
    output = log_probs(engines["shared"], rows)  # with the comparison at first use, which is not timed
    ratio = output["metrics"]["row_tokens_per_packed_token"][0]
    print(f"{len(rows)} rows: {tokens} tokens, {tokens / ratio:.0f} packed; logits of {tokens} or {n_logits} tokens")
    body, head = weights(engines["verl"].module)
    rate = matrix_rate(dtype)
    figure("the machine's matrix rate", rate / 1e9, "GFLOP/s")
    for name, part, passes in (("log-probs", log_probs, 1), ("update", update, 3)):
        seconds = {engine: float("inf") for engine in engines}
        for _ in range(repeats):
            for engine in engines:
                start = time.perf_counter()
                part(engines[engine], rows)
                seconds[engine] = min(seconds[engine], time.perf_counter() - start)
        print(f"{name}: " + ", ".join(f"{engine} {best:.2f} s" for engine, best in seconds.items()))
        figure(f"{name}, shared prompts over verl's own engine", seconds["verl"] / seconds["shared"], "times as fast")
        computed = {"verl": (tokens, tokens), "shared": (tokens / ratio, n_logits)}
        for engine, best in seconds.items():
            for what, (n_body, n_head) in {"all": computed[engine], "response": (n_logits, n_logits)}.items():
                share = passes * 2 * (body * n_body + head * n_head) / best / rate
                figure(f"{name}, {engine}, its {what} tokens", 100 * share, "% of the matrix rate")


def weights(model: Any) -> tuple[int, int]:
    """Number of weights in the layers' matrix products, and in the product that makes logits."""
    matrices = {name: weight.numel() for name, weight in model.named_parameters() if weight.dim() == 2}
    head = max(matrices.values())  # the vocabulary's; tied to the embedding, which multiplies nothing
    return sum(n for name, n in matrices.items() if "layers." in name), head


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations per second in a product of two large matrices."""
    n, best = 2048, float("inf")
    left, right = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
    for _ in range(5):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def quickstart_rows(rng: random.Random, problems: int) -> list[tuple[list[int], list[int]]]:
    """Prompt and response of each row."""

    def draw(n: int) -> list[int]:
        return [rng.randrange(VOCAB) for _ in range(n)]

    rows = []
    for _ in range(problems):
        direct, refine = draw(rng.randint(55, 65)), draw(rng.randint(160, 180))
        rows += [(direct, draw(rng.randint(7, 13))) for _ in range(4)]
        rows += [(refine, draw(rng.randint(40, 112))) for _ in range(4)]
    return rows


def random_model(folder: Path) -> Path:
    """A model of SmolLM2-135M's shape."""
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}
    config = LlamaConfig(vocab_size=VOCAB, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, **heads)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_engine(cls: type, model: Path, dtype: str) -> Any:
    """An engine with the settings of recipes/cpu.yaml."""
    engine = cls(
        model_config=HFModelConfig(
            path=str(model),
            load_tokenizer=False,
            enable_gradient_checkpointing=False,
            override_config={"attn_implementation": "packed_sdpa"},
        ),
        engine_config=FSDPEngineConfig(
            strategy="fsdp2",
            mixed_precision={"param_dtype": dtype},
            use_torch_compile=False,
            reshard_after_forward=False,
        ),
        optimizer_config=FSDPOptimizerConfig(lr=1e-6),
        checkpoint_config=CheckpointConfig(),
    )
    engine.initialize()
    return engine


def batch(rows: list[tuple[list[int], list[int]]]) -> TensorDict:
    """The rows as verl's trainer sends them."""
    sequences = [torch.tensor(prompt + response) for prompt, response in rows]
    columns = {
        "input_ids": sequences,
        "position_ids": [torch.arange(len(sequence)) for sequence in sequences],
        "loss_mask": [torch.ones(len(response), dtype=torch.long) for _, response in rows],
    }
    nested = {key: torch.nested.as_nested_tensor(column, layout=torch.jagged) for key, column in columns.items()}
    data = TensorDict(nested, batch_size=[len(rows)])
    tu.assign_non_tensor(data, temperature=1.0, use_remove_padding=True, max_token_len_per_gpu=BUDGET)
    return data


def log_probs(engine: Any, rows: list[tuple[list[int], list[int]]]) -> dict[str, Any]:
    """Log-probs and entropies, as before an update."""
    data = batch(rows)
    tu.assign_non_tensor(data, calculate_entropy=True)
    with engine.eval_mode():
        return engine.infer_batch(data, loss_function=None)


def update(engine: Any, rows: list[tuple[list[int], list[int]]]) -> None:
    """Gradients of a loss on all log-probs."""

    def loss(model_output: dict[str, torch.Tensor], **_: Any) -> tuple[torch.Tensor, dict[str, Any]]:
        return -model_output["log_probs"].values().mean(), {}

    with engine.train_mode():
        engine.forward_backward_batch(batch(rows), loss)


if __name__ == "__main__":
    main()
