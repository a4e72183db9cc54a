"""The cost model: numbers worked out by hand for a toy shape, published figures, and docs/scaling.md."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from composed import changed, composed

from gsr_rl.verl_plugin.packing import Row, micro_batches, packed_tokens

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "bench"))  # at the end: bench/coverage.py has the name of a package

import cost_model  # noqa: E402
from step_cost import (  # noqa: E402
    Card,
    Shape,
    Stage,
    Step,
    Work,
    cache_tokens,
    decode,
    flops,
    logit_positions,
    plain,
    prefilled,
    rows_together,
    seconds,
    shared,
    sync_bytes,
    trained,
    training_bytes,
)

# A layer has 16 weights for queries, 8 for keys, 8 for values, 16 for the output, and 36 in the MLP: 84.
TOY = Shape(layers=2, hidden=4, heads=2, kv_heads=1, head_dim=2, intermediate=3, vocab=10, tied=False)
CANDIDATES = Stage(groups=3, rows=2, prompt=3, response=2)
REFINEMENTS = Stage(groups=3, rows=2, prompt=6, response=1)
STEP = Step(3, 1, 100, 0.5, 2, CANDIDATES, REFINEMENTS)


def test_a_shape_counts_its_weights() -> None:
    assert (TOY.layer, TOY.head, TOY.multiplied, TOY.weights) == (84, 40, 2 * 84 + 40, 2 * 84 + 2 * 40)
    assert TOY.kv_bytes == 2 * 2 * 2 * 2  # bytes, key and value, layers, numbers of one head


@pytest.mark.parametrize(
    "model, weights",
    [("Qwen/Qwen2.5-7B-Instruct", 7.616e9), ("Qwen/Qwen3-1.7B", 1.721e9), ("smollm2", 134.5e6)],
)
def test_the_shapes_have_as_many_weights_as_their_models(model: str, weights: float) -> None:
    assert cost_model.SHAPES[model].weights == pytest.approx(weights, rel=1e-3)


def test_a_group_by_hand() -> None:
    group = Stage(groups=1, rows=2, prompt=3, response=2)
    # Each row has 5 tokens, which see 1 + 2 + 3 + 4 + 5.
    assert plain(group) == Work(tokens=10, logits=10, pairs=30)
    # The prompt once: 1 + 2 + 3. The tokens of each response see 4 and 5.
    assert shared(group, 2) == Work(tokens=7, logits=4, pairs=6 + 2 * 9)
    assert shared(group, 1) == Work(tokens=10, logits=4, pairs=30)


def test_flops_by_hand() -> None:
    # 168 weights of layers for a token, 40 for logits; 2 products of 2 FLOPs over 2 layers, 2 heads and 2 numbers.
    assert flops(TOY, Work(10, 10, 30)) == 2 * (168 * 10 + 40 * 10) + 32 * 30
    assert flops(TOY, Work(7, 4, 24)) == 2 * (168 * 7 + 40 * 4) + 32 * 24
    assert flops(TOY, Work(7, 4, 24), 6) == 3 * flops(TOY, Work(7, 4, 24))


@pytest.mark.parametrize("budget", [5, 6, 7, 9, 11, 100])
def test_rows_are_packed_as_training_packs_them(budget: int) -> None:
    group = Stage(groups=1, rows=4, prompt=3, response=2)
    rows = [Row.of([1, 2, 3, 4, i], [1, 1]) for i in range(4)]
    batches, _ = micro_batches(rows, budget)
    tokens = sum(packed_tokens(rows, part) for batch in batches for part in batch)
    assert shared(group, rows_together(group, budget, cells=1)).tokens == tokens


def test_a_group_is_cut_where_a_gpu_gets_fewer_rows_than_it_has() -> None:
    stage = Stage(groups=4, rows=4, prompt=3, response=2)
    assert [rows_together(stage, 100, cells) for cells in (1, 4, 5, 8, 16, 64)] == [4, 4, 3, 2, 1, 1]
    step = Step(4, 1, 100, 0.5, 2, stage, stage, signal=0.5)
    assert trained(step, 1, False).tokens == 2 * 2 * 4 * 5
    assert trained(step, 1, True).tokens == 2 * 2 * (3 + 4 * 2)
    assert trained(step, 8, True).tokens == 2 * 2 * 4 * 5  # 8 rows of a stage are left, one for each


def test_the_rollout_by_hand() -> None:
    assert prefilled(CANDIDATES, True) == Work(tokens=3 * 3, logits=3 * 2, pairs=3 * 6)
    assert prefilled(CANDIDATES, False) == Work(tokens=3 * 2 * 3, logits=3 * 2, pairs=3 * 2 * 6)
    assert (cache_tokens(STEP, True), cache_tokens(STEP, False)) == (6 + 2, 2 * 7)
    # Two of three problems are on one of two GPUs: 8 tokens of candidates see 36, and 4 of refinements see 28.
    # Two requests at a time take 6 iterations, each of which reads 208 weights; a pair reads 16 bytes of the cache.
    iterations, read, computed = decode(TOY, STEP, 2)
    assert (iterations, read) == (6, pytest.approx(6 * 2 * 208 + 16 * 64))
    assert computed == pytest.approx(2 * 12 * 208 + 32 * 64)


def test_memory_and_seconds_by_hand() -> None:
    assert training_bytes(TOY, 2) == (16 * 248 / 2, 6 * 84)
    assert (sync_bytes(TOY, 1), sync_bytes(TOY, 2)) == (0, 4 * 248 / 2)
    assert logit_positions(STEP, CANDIDATES, 1) == 3 * 4  # all 21 tokens fit into the budget
    tight = Step(3, 1, 14, 0.5, 2, CANDIDATES, REFINEMENTS)
    assert logit_positions(tight, CANDIDATES, 1) == pytest.approx(14 * 4 / 7)

    parts = seconds(TOY, STEP, 1, Card(flops=1000, bandwidth=100, flops_share=0.5, bandwidth_share=0.5))
    as_rows, packed = plain(CANDIDATES) + plain(REFINEMENTS), shared(CANDIDATES, 2) + shared(REFINEMENTS, 2)
    assert parts["log-probs"] == pytest.approx((flops(TOY, as_rows) / 500, flops(TOY, packed) / 500))
    assert parts["update"] == pytest.approx((flops(TOY, as_rows, 6) / 500, flops(TOY, packed, 6) / 500))
    assert parts["decode"][0] == pytest.approx((9 * 2 * 208 + 16 * 96) / 50)
    assert parts["weight sync"] == (0, 0)


@pytest.mark.parametrize(
    "model, length, tokens_per_second, mfu",
    [("0.6B", 8192, 26.0e3, 0.168), ("0.6B", 16384, 11.9e3, 0.111), ("0.6B", 65536, 10.2e3, 0.268)],
)
def test_the_utilisation_that_prime_rl_states(model: str, length: int, tokens_per_second: float, mfu: float) -> None:
    """prime-rl's benchmarks/results/BENCHMARKS.md of 2026-02-01, on one H100; rows of one token count."""
    work = plain(Stage(groups=1, rows=1, prompt=0, response=length))
    rate = flops(cost_model.SHAPES[f"Qwen/Qwen3-{model}"], work, 6) / length * tokens_per_second
    assert rate / 989e12 == pytest.approx(mfu, abs=0.002)


def test_the_tables_of_the_document_are_the_script_s(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(cost_model, "load_settings", lambda recipe, overrides: changed(composed(recipe), *overrides))
    text = (ROOT / "docs" / "scaling.md").read_text()
    commands = list(re.finditer(r"```\npython bench/cost_model.py (.+)\n```\n((?:\n\*\*.+\*\*\n\n(?:\|.+\n)+)+)", text))
    assert len(commands) >= 4
    for command in commands:
        cost_model.main(shlex.split(command[1]))
        output = capsys.readouterr().out
        for table in re.split(r"\n(?=\*\*)", command[2].strip()):
            assert table.strip() in output, f"write the output of `python bench/cost_model.py {command[1]}` anew"


def test_an_unknown_model_is_named(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(cost_model, "load_settings", lambda recipe, overrides: changed(composed(recipe), *overrides))
    with pytest.raises(SystemExit) as error:
        cost_model.main(["gsr_qwen3_1_7b", "base_model=other"])
    assert error.value.code == 2
    assert "base_model=other: must be one of Qwen/Qwen2.5-7B-Instruct," in capsys.readouterr().err
