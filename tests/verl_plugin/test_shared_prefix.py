"""Shared prompts against verl's own engine: log-probs, entropies and gradients of whole steps, in float32."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from prefix_steps import GROUPS, change_of_a_step, log_probs, make_rows, on_two_ranks, relative_difference
from training_engine import join_group, make_batch, make_engine, write_model
from transformers import LlamaConfig
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.utils.losses import sft_loss

import gsr_rl.cpu.attention
import gsr_rl.cpu.engine
from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import SHARED_PREFIX
from gsr_rl.verl_plugin.packing import Row, micro_batches
from gsr_rl.verl_plugin.shared_prefix import SharedPrefixEngine, data_reason, model_reason

Pair = tuple[Any, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engines(folder: Path) -> Iterator[Pair]:
    """verl's engine, and ours with the same weights."""
    join_group(folder / "group")
    yield make_engine(FSDPEngineWithLMHead, folder), make_engine(SharedPrefixEngine, folder)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("budget", [42, 60, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_and_entropies_are_those_of_verl(engines: Pair, budget: int, temperature: float) -> None:
    rows = make_rows()
    stock, ours = (log_probs(engine, rows, max_token_len_per_gpu=budget, temperature=temperature) for engine in engines)
    assert ours.keys() == stock.keys() == {"log_probs", "entropy"}
    for key in stock:
        assert stock[key].std() > 0.1
        assert relative_difference(ours[key], stock[key]) < 1e-5
    by_row = torch.linspace(0.5, 1.5, len(rows))
    stock, ours = (log_probs(engine, rows, max_token_len_per_gpu=budget, temperature=by_row) for engine in engines)
    assert relative_difference(ours["log_probs"], stock["log_probs"]) < 1e-5


STEPS = [
    # budget, λ, mini-batches, loss_agg_mode
    (1000, 0.3, 1, "token-mean"),
    (42, 0.3, 1, "token-mean"),
    (60, 0.3, 2, "token-mean"),
    (60, 0.0, 1, "token-mean"),
    (60, 1.0, 2, "seq-mean-token-mean"),
    (1000, 0.3, 2, "seq-mean-token-sum"),
]


@pytest.mark.parametrize(("budget", "refine_weight", "mini_batches", "mode"), STEPS)
def test_whole_steps_have_the_gradients_of_verl(
    engines: Pair, budget: int, refine_weight: float, mini_batches: int, mode: str
) -> None:
    rows = make_rows()
    (stock, _), (ours, metrics) = (
        change_of_a_step(engine, rows, budget, refine_weight, mini_batches, mode) for engine in engines
    )
    assert stock.norm() > 1e-4
    assert relative_difference(ours, stock) < 1e-5
    assert len(metrics["groups_split"]) == mini_batches


def test_a_mini_batch_of_padding_alone_changes_nothing(engines: Pair) -> None:
    change, _ = change_of_a_step(engines[1], make_rows([], padding=3), 60, 0.5, 1, "token-mean")
    assert not change.any()


def test_sft_has_the_gradients_of_verl(engines: Pair, folder: Path) -> None:
    # verl's SFT rows have a loss mask over the whole row. Here the response has tokens that are no labels. Our engine
    # is new, so the comparison at first use comes within the training.
    rows = make_rows(padding=0)
    for row in rows:
        row["loss_mask"] = [0] * len(row["prompt"]) + [int(i % 3 != 1) for i in range(len(row["response"]))]
    losses, grads = [], []
    for engine in (engines[0], make_engine(SharedPrefixEngine, folder)):
        with engine.train_mode():
            data = make_batch(rows, max_token_len_per_gpu=60)
            output = engine.forward_backward_batch(data, partial(sft_loss, None))
            grads.append(torch.cat([p.grad.full_tensor().flatten() for p in engine.module.parameters()]))
            losses.append(sum(output["loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert relative_difference(grads[1], grads[0]) < 1e-5


def test_each_group_is_computed_in_one_micro_batch(engines: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds verl's forward_backward_batch to the micro-batches that we plan (`shared_prefix.planned`)."""
    engine, rows = engines[1], make_rows(padding=0)
    inputs = []
    prepare = engine.prepare_model_inputs

    def spy(micro_batch: Any) -> Any:
        inputs.append(prepare(micro_batch=micro_batch))
        return inputs[-1]

    monkeypatch.setattr(engine, "prepare_model_inputs", spy)
    with engine.eval_mode():
        output = engine.infer_batch(make_batch(rows, max_token_len_per_gpu=60), loss_function=None)
    plain = [Row.of([*row["prompt"], *row["response"]], row["loss_mask"]) for row in rows]
    planned, _ = micro_batches(plain, 60)
    assert len(inputs) == len(planned) > 1
    n_tokens = sum(len(model_inputs["input_ids"][0]) for model_inputs, _ in inputs)
    assert n_tokens == sum(prompt_len + sum(lengths) for _, prompt_len, lengths in GROUPS)
    assert sum(len(model_inputs["logits_to_keep"]) for model_inputs, _ in inputs) == sum(
        sum(lengths) for _, _, lengths in GROUPS
    )
    assert output["metrics"]["groups_split"] == [0]
    n_row_tokens = sum(len(row.ids) for row in plain)
    assert output["metrics"]["row_tokens_per_packed_token"] == [pytest.approx(n_row_tokens / n_tokens)]


def test_rows_may_have_a_micro_batch_each(engines: Pair) -> None:
    rows = make_rows([(False, 30, [9]), (True, 40, [4])], padding=0)
    stock, ours = (log_probs(engine, rows, max_token_len_per_gpu=50) for engine in engines)
    assert relative_difference(ours["log_probs"], stock["log_probs"]) < 1e-5


def test_a_group_above_the_budget_is_split_and_counted(engines: Pair) -> None:
    with engines[1].eval_mode():
        data = make_batch(make_rows(padding=0), max_token_len_per_gpu=42)
        output = engines[1].infer_batch(data, loss_function=None)
    assert output["metrics"]["groups_split"] == [2]  # 21 + 36 and 30 + 15 tokens


def test_rows_of_the_queue_share_and_rows_with_images_do_not() -> None:
    rows = [{"input_ids": torch.arange(4), "position_ids": torch.arange(4), "multi_modal_inputs": {}} for _ in range(2)]
    assert data_reason(list_of_dict_to_tensordict(rows)) == ""
    for row in rows:
        row["multi_modal_inputs"] = {"pixel_values": torch.ones(1, 2)}
    assert data_reason(list_of_dict_to_tensordict(rows)) == "rows hold more than text"


# First use, and what takes verl's own path


def test_a_path_that_differs_stops_the_run(
    engines: Pair, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours = make_engine(SharedPrefixEngine, folder)
    whole = gsr_rl.cpu.attention._segments

    def without_prompts(positions: torch.Tensor) -> tuple[list[int], list[int]]:
        prefixes, lengths = whole(positions)
        return [0] * len(prefixes), lengths

    monkeypatch.setattr(gsr_rl.cpu.attention, "_segments", without_prompts)
    with pytest.raises(UsageError, match=r"^gsr\.shared_prefix=True: log-probs differ by .*gsr\.shared_prefix=False"):
        log_probs(ours, make_rows(), max_token_len_per_gpu=60)
    monkeypatch.setattr(gsr_rl.cpu.attention, "_segments", whole)
    with caplog.at_level(logging.INFO):
        log_probs(ours, make_rows(), max_token_len_per_gpu=60)
        log_probs(ours, make_rows(), max_token_len_per_gpu=60)
    assert len([line for line in caplog.messages if line.startswith("log-probs with shared prompts differ")]) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 4}, "use_dynamic_bsz=False"),
        ({"max_token_len_per_gpu": 60}, "gsr.shared_prefix=False"),
    ],
)
def test_what_cannot_share_takes_verl_s_path_and_is_told_once(
    engines: Pair,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    reason: str,
) -> None:
    monkeypatch.setenv(SHARED_PREFIX, str(int("shared_prefix" not in reason)))
    caplog.set_level(logging.WARNING)  # vLLM's server, which other tests import, lets only errors through
    ours, rows = make_engine(SharedPrefixEngine, folder), make_rows(padding=2)
    for _ in range(2):
        outputs = []
        for engine in (engines[0], ours):
            with engine.eval_mode():
                outputs.append(engine.infer_batch(make_batch(rows, **settings), loss_function=None))
        stock, got = (output["model_output"]["log_probs"].values() for output in outputs)
        assert torch.equal(got, stock)  # at prompts too
        assert "groups_split" not in outputs[1]["metrics"]
    told = [line for line in caplog.messages if "every row is computed with its whole prompt" in line]
    assert told == [f"gsr-rl: every row is computed with its whole prompt: {reason}"]


def forward(input_ids: Any, logits_to_keep: Any = 0) -> None: ...


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"config": {"_attn_implementation": "flash_attention_2"}}, "attn_implementation=flash_attention_2"),
        ({"config": {"sliding_window": 8}}, "the model has a sliding window"),
        (
            {"config": {"layer_types": ["full_attention", "linear_attention"]}},
            "the model has layers of linear_attention",
        ),
        ({"config": {"attn_logit_softcapping": 30.0}}, "the model caps attention scores"),
        ({"forward": lambda input_ids: None}, "the model's forward has no logits_to_keep"),
        ({"use_remove_padding": False}, "use_remove_padding=False"),
        ({"use_ulysses_sp": True}, "ulysses_sequence_parallel_size > 1"),
        ({"pad_to_length": True}, "pad_to_length=True"),
        ({"use_fused_kernels": True}, "use_fused_kernels=True"),
    ],
)
def test_reasons_against_sharing(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str) -> None:
    monkeypatch.delenv(SHARED_PREFIX, raising=False)
    config = LlamaConfig(attn_implementation="packed_sdpa")
    for name, value in changes.get("config", {}).items():
        setattr(config, name, value)
    engine: Any = SimpleNamespace(
        module=SimpleNamespace(config=config, forward=changes.get("forward", forward)),
        use_remove_padding=changes.get("use_remove_padding", True),
        use_ulysses_sp=changes.get("use_ulysses_sp", False),
        pad_to_length=changes.get("pad_to_length", False),
        model_config=SimpleNamespace(use_fused_kernels=changes.get("use_fused_kernels", False)),
    )
    assert model_reason(engine) == reason


def test_the_cpu_s_engine_is_ours() -> None:
    assert EngineRegistry.get_engine_cls("language_model", "fsdp2") is SharedPrefixEngine


# Two ranks


def test_two_ranks_have_the_gradients_of_verl(folder: Path) -> None:
    torch.multiprocessing.spawn(on_two_ranks, (folder,), nprocs=2)
