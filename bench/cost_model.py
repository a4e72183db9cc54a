"""What a training step of a recipe costs: tokens, FLOPs, memory and the least seconds, as Markdown tables.

    python bench/cost_model.py RECIPE [key=value ...] [--gpus 8 64] [--problem 200] [--candidate N] [--refinement N]

Nothing is measured. docs/scaling.md says what is counted, and bench/step_cost.py has the formulas.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from step_cost import (
    Card,
    Shape,
    Stage,
    Step,
    cache_space,
    cache_tokens,
    decode,
    flops,
    logit_positions,
    plain,
    prefilled,
    seconds,
    sync_bytes,
    total,
    trained,
    training_bytes,
)

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import load_settings, resolved_config

REFINE_TEMPLATE, LABEL = 50, 6  # tokens that the refinement prompt adds, and that it adds for each candidate
SHAPES = {
    "Qwen/Qwen2.5-7B-Instruct": Shape(28, 3584, 28, 4, 128, 18944, 152064, tied=False),
    "Qwen/Qwen3-1.7B": Shape(28, 2048, 16, 8, 128, 6144, 151936, tied=True),
    # Two of which others have published how fast they train.
    "Qwen/Qwen3-0.6B": Shape(28, 1024, 16, 8, 128, 3072, 151936, tied=True),
    "Qwen/Qwen3-4B-Instruct-2507": Shape(36, 2560, 32, 8, 128, 9728, 151936, tied=True),
    "smollm2": Shape(30, 576, 9, 3, 64, 1536, 49152, tied=True),
}
SIZES = (2, 4, 8, 16)  # K and M of the last table
Cell = float | str


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="+", metavar="RECIPE [key=value]")
    parser.add_argument("--gpus", type=int, nargs="+", default=[8])
    parser.add_argument("--problem", type=int, default=200, help="tokens of a direct prompt")
    parser.add_argument("--candidate", type=int, help="tokens; a quarter of the recipe's limit")
    parser.add_argument("--refinement", type=int, help="tokens; a quarter of the recipe's limit")
    parser.add_argument("--refine-prompt", type=int, help="tokens; problem, candidates and what stands around them")
    parser.add_argument("--refined", type=float, default=1.0, help="share of the candidate sets that are refined")
    parser.add_argument("--signal", type=float, default=1.0, help="share of the groups that are trained")
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s of a card; H100, dense bfloat16")
    parser.add_argument("--mfu", type=float, default=0.5, help="share of it that is assumed")
    parser.add_argument("--bandwidth", type=float, default=3.35e12, help="bytes/s of a card's memory; H100 SXM")
    parser.add_argument("--bandwidth-share", type=float, default=0.8, help="share of it that is assumed")
    options = parser.parse_args(arguments)
    try:
        shape, step = read_step(options)
    except UsageError as error:
        parser.error(str(error))
    card = Card(options.peak, options.bandwidth, options.mfu, options.bandwidth_share)
    step_tables(shape, step)
    passes_table(shape, step, options.gpus)
    memory_table(shape, step, options.gpus)
    seconds_table(shape, step, options.gpus, card)
    sizes_table(shape, step)


def read_step(options: Any) -> tuple[Shape, Step]:
    """The shape of the recipe's model, and the recipe's step with the options' lengths."""
    recipe, *overrides = options.recipe
    config = resolved_config(load_settings(recipe, overrides))
    if (model := config["base_model"]) not in SHAPES:
        raise UsageError(
            f"base_model={model}: must be one of {', '.join(SHAPES)}; add its shape to bench/cost_model.py"
        )
    gsr, batch, role = config["gsr"], config["data"]["train_batch_size"], config["actor_rollout_ref"]
    candidate = options.candidate or gsr["candidate_tokens"] // 4
    refinement = options.refinement or gsr["refinement_tokens"] // 4
    prompt = options.refine_prompt or refine_prompt(options.problem, gsr["k"], candidate)
    return SHAPES[model], Step(
        problems=batch,
        mini_batches=batch // role["actor"]["ppo_mini_batch_size"],
        budget=role["actor"]["ppo_max_token_len_per_gpu"],
        vllm_share=role["rollout"]["gpu_memory_utilization"],
        max_num_seqs=role["rollout"]["max_num_seqs"],
        candidates=Stage(batch, gsr["k"], options.problem, candidate),
        refinements=Stage(batch * options.refined, gsr["m"], min(prompt, role["rollout"]["prompt_length"]), refinement),
        signal=options.signal,
    )


def refine_prompt(problem: int, k: int, candidate: int) -> int:
    """Tokens of a refinement prompt that holds K whole candidates."""
    return problem + REFINE_TEMPLATE + k * (candidate + LABEL)


def step_tables(shape: Shape, step: Step) -> None:
    kinds: list[list[Cell]] = []
    for name, stage in (("candidates", step.candidates), ("refinements", step.refinements)):
        n_rows = stage.groups * stage.rows
        kinds += [[f"prompt of {name}", stage.prompt, stage.groups * stage.prompt, n_rows * stage.prompt]]
        kinds += [[name, stage.response, *[n_rows * stage.response] * 2]]
    kinds.append(["all", "", *[sum(float(row[column]) for row in kinds) for column in (2, 3)]])
    show("Tokens of a step", ["kind", "tokens each", "in a step, each once", "as rows"], kinds)
    rows: list[list[Cell]] = []
    for name, is_cached in (("prefill with the prefix cache", True), ("prefill without it", False)):
        work = total(prefilled(stage, is_cached) for stage in step.stages)
        rows.append([name, work.tokens, flops(shape, work) / 1e15])
    _, _, computed = decode(shape, step, 1)
    rows.append(["decode", sum(s.groups * s.rows * s.response for s in step.stages), computed / 1e15])
    show("Rollout", ["part", "tokens", "PFLOP"], rows)


def passes_table(shape: Shape, step: Step, all_gpus: Iterable[int]) -> None:
    rows: list[list[Cell]] = []
    for gpus in all_gpus:
        for name, cells, per_weight in (("log-probs", gpus, 2), ("update", gpus * step.mini_batches, 6)):
            works = [trained(step, cells, is_shared) for is_shared in (False, True)]
            tokens, logits = [work.tokens for work in works], [work.logits for work in works]
            pflop = [flops(shape, work, per_weight) / 1e15 for work in works]
            ratios = [f"{pair[0] / pair[1]:.2f}" for pair in (tokens, pflop)]
            rows.append([gpus, name, *tokens, ratios[0], *logits, *pflop, ratios[1]])
    columns = ["tokens, plain", "shared", "ratio", "logits, plain", "shared", "PFLOP, plain", "shared", "ratio"]
    show("Training passes", ["GPUs", "pass", *columns], rows)


def memory_table(shape: Shape, step: Step, all_gpus: Iterable[int]) -> None:
    rows: list[list[Cell]] = []
    for gpus in all_gpus:
        cells, per_logit = gpus * step.mini_batches, 2 * shape.vocab
        state, unit = training_bytes(shape, gpus)
        micro_batch = min(step.budget, total(map(plain, step.stages)).tokens / cells)
        shared_logits = [logit_positions(step, stage, cells) * per_logit for stage in step.stages]
        of_problems = -(-step.problems // gpus) * shape.kv_bytes
        caches = [of_problems * cache_tokens(step, is_shared) for is_shared in (True, False)]
        of_layers = 2 * micro_batch * shape.hidden * shape.layers
        values = [state, unit, of_layers, micro_batch * per_logit, *shared_logits, cache_space(shape, step), *caches]
        rows.append([gpus, *(value / 1e9 for value in [*values, sync_bytes(shape, gpus)])])
    columns = ["weights, gradients, Adam", "largest gathered unit", "layers' inputs, a micro-batch"]
    columns += ["its logits, plain", "shared, of candidates", "shared, of refinements"]
    columns += ["room for the KV cache", "KV at full load, prompts shared", "not shared", "received in a weight sync"]
    show("Memory and traffic of a GPU, GB", ["GPUs", *columns], rows)


def seconds_table(shape: Shape, step: Step, all_gpus: Iterable[int], card: Card) -> None:
    rows: list[list[Cell]] = []
    for gpus in all_gpus:
        parts = seconds(shape, step, gpus, card)
        for i, path in enumerate(("plain", "shared")):
            values = [pair[i] for pair in parts.values()]
            rows.append([gpus, path, *values, sum(values)])
    title = f"Least seconds of a step, at {card.flops_share:.0%} of {card.flops / 1e12:.3g} TFLOP/s and "
    title += f"{card.bandwidth_share:.0%} of {card.bandwidth / 1e12:.3g} TB/s"
    names = ["prefill", "decode", "log-probs", "update", "weight sync", "all"]
    show(title, ["GPUs", "path", *names], rows)


def sizes_table(shape: Shape, step: Step) -> None:
    """How the gain depends on K and M, where every group is whole."""
    rows: list[list[Cell]] = [[f"K = {k}", *(gain(shape, resized(step, k, m)) for m in SIZES)] for k in SIZES]
    head = ["", *(f"M = {m}" for m in SIZES)]
    show("Plain over shared, tokens and FLOPs; share of a plain pass's tokens that is prompt", head, rows)


def resized(step: Step, k: int, m: int) -> Step:
    prompt = refine_prompt(step.candidates.prompt, k, step.candidates.response)
    refinements = replace(step.refinements, rows=m, prompt=prompt)
    return replace(step, candidates=replace(step.candidates, rows=k), refinements=refinements, budget=10**9)


def gain(shape: Shape, step: Step) -> str:
    old, new = trained(step, 1, False), trained(step, 1, True)
    return (
        f"{old.tokens / new.tokens:.2f}, {flops(shape, old) / flops(shape, new):.2f}; {1 - new.logits / old.tokens:.0%}"
    )


def show(title: str, head: list[str], rows: Iterable[list[Cell]]) -> None:
    print(f"\n**{title}**\n\n| {' | '.join(head)} |\n|{' --- |' + ' ---: |' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(number, row))} |")


def number(value: Cell) -> str:
    """Three significant digits; whole numbers of up to six digits as they are."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    main()
