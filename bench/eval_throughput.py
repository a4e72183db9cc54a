"""Tokens per second of `gsr-rl eval` against vLLM's offline engine, side by side: the same requests, the same engine.

    python bench/eval_throughput.py [--recipe quickstart_cpu] [--problems 128] [--rounds 2] [key=value ...]

First the way of `eval`: a server, the client, a journal, refinements as soon as a problem's candidates are in. Then
`LLM.generate` of vLLM, with the same arguments, gets the very requests that the server got, all at once. Start-up and
loading are in neither. Each is done `--rounds` times in turn, each time anew; the ratio is of the best of either.
`--seeds 0` leaves out the requests' seeds where the offline engine gets them, which is what it would do on its own.
key=value are those of `gsr-rl eval`, such as model=PATH.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gsr_rl.settings.sections import engine_arguments, gsr_config
from gsr_rl.stages.benchmarks import items_of, plan_of

from data_prep.pair_sums import pair_sums
from gsr_rl.generation.generate import Ask, for_all
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import Item
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.serve import at_urls
from gsr_rl.settings.compose import load_recipe
from gsr_rl.settings.evaluation import roles
from gsr_rl.stages.preflight import choose_platform

OFFLINE = "--offline"


def main() -> None:
    if sys.argv[1:2] == [OFFLINE]:
        return offline(Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quickstart_cpu")
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = load_recipe(options.recipe, ["benchmarks=[knights_knaves]", *options.overrides])
        choose_platform(config)
        served_rates, offline_rates = [], []
        for number in range(options.rounds):
            work = Path(folder) / str(number)
            served_rates.append(served(config, options.problems, work))
            if not options.seeds:
                drop_seeds(work / "work.json")
            done = subprocess.run([sys.executable, __file__, OFFLINE, str(work)], check=True, stdout=subprocess.PIPE)
            offline_rates.append(float(done.stdout.split()[-1]))
            print(
                f"round {number + 1}: eval {served_rates[-1]:.0f}, offline {offline_rates[-1]:.0f} tokens/s", flush=True
            )
    ratio = max(served_rates) / max(offline_rates)
    print(f"eval {max(served_rates):.0f}, offline {max(offline_rates):.0f} tokens/s: {100 * ratio:.0f} %")


def served(config: Any, n: int, folder: Path) -> float:
    """Tokens per second as `gsr-rl eval` has them; leaves the requests and the engine's arguments in `folder`."""
    gsr, asked = gsr_config(config), roles(config)
    problems = pair_sums(n, seed=1, numbers=3, largest=30)
    plan, items = plan_of(config, asked, [one.problem for one in problems]), items_of([problems], 1, 0)
    engine = engine_arguments(config, int(config.actor_rollout_ref.rollout.prompt_length) + gsr.max_response_tokens)
    made: list[Request] = []
    tokens: list[int] = []

    async def work(ask: Ask, item: Item) -> None:
        async def noted(request: Request) -> Answer:
            answer = await ask(request)
            made.append(request)
            tokens.append(answer.tokens)
            return answer

        await plan.generate(noted, item)

    warm_up = [Item(one) for one in pair_sums(8, seed=2, numbers=3, largest=40)]
    with (
        at_urls(asked.model.served, engine, folder / "server.log") as there,
        Journal(folder / "warm.jsonl") as warm,
        Journal(folder / "answers.jsonl") as journal,
    ):
        for_all(there, warm, warm_up, plan.generate, what="warm-up")
        start = time.perf_counter()
        for_all(there, journal, items, work, what="eval", total=n)
        seconds = time.perf_counter() - start
        # Those of the pool are asked for once, and taken from the journal when the sets are made.
        unique = {request.key: (request, count) for request, count in zip(made, tokens, strict=True)}
    model = {**engine, **{key: value for key, value in asked.model.served.engine.items() if key != "served_model_name"}}
    work_of = {
        "model": str(asked.model.served.model),
        "engine": model,
        "bodies": [r.body() for r, _ in unique.values()],
    }
    (folder / "work.json").write_text(json.dumps(work_of))
    generated = sum(count for _, count in unique.values())
    print(f"eval: {len(unique)} requests, {generated} tokens, {seconds:.1f} s", file=sys.stderr)
    return generated / seconds


def drop_seeds(path: Path) -> None:
    work = json.loads(path.read_text())
    work["bodies"] = [{**body, "seed": None} for body in work["bodies"]]
    path.write_text(json.dumps(work))


def offline(folder: Path) -> None:
    """Print the tokens per second of `LLM.generate` on the requests in `folder`."""
    from vllm import LLM, SamplingParams, TokensPrompt

    work = json.loads((folder / "work.json").read_text())
    llm = LLM(work["model"], **work["engine"])

    def generate(bodies: Sequence[dict[str, Any]]) -> int:
        prompts = [TokensPrompt(prompt_token_ids=body["prompt"]) for body in bodies]
        names = ("temperature", "top_p", "top_k", "max_tokens", "seed")
        params = [SamplingParams(**{name: body[name] for name in names if name in body}) for body in bodies]
        return sum(len(one.token_ids) for out in llm.generate(prompts, params, use_tqdm=False) for one in out.outputs)

    generate(
        [{**body, "prompt": [*body["prompt"][::-1]]} for body in work["bodies"][:48]]
    )  # warm-up, and no shared prefixes
    start = time.perf_counter()
    tokens = generate(work["bodies"])
    seconds = time.perf_counter() - start
    print(f"offline: {len(work['bodies'])} requests, {tokens} tokens, {seconds:.1f} s", file=sys.stderr)
    print(tokens / seconds)


if __name__ == "__main__":
    main()
