"""Tokens per second of `gsr-rl eval` against vLLM's offline engine, side by side: the same requests, the same engine.

    python bench/eval_throughput.py [--recipe quickstart_cpu] [--problems 128] [--rounds 2] [key=value ...]

First the way of `eval`: the plan, the recipe's `generation.backend` and a journal. Then `LLM.generate` of vLLM, with
the same arguments, gets the same requests, all at once. Start-up and loading do not count. Each is done `--rounds`
times in turn, each time in a process of its own; the ratio compares the best of each. `--seeds 0` leaves the requests'
seeds out for the offline engine, which would set none itself. key=value are overrides as for `gsr-rl eval`, such as
model=PATH and generation.backend=server.
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

from figures import figure

from data_prep.pair_sums import pair_sums
from gsr_rl.generation.generate import Ask, Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import PlanItem, plan_items
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.roles import backend_of
from gsr_rl.settings.compose import load_settings
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.evaluate import plan_of, roles_of
from gsr_rl.stages.platform import choose_platform

EVAL, OFFLINE = "--eval", "--offline"  # first arguments of the processes that measure


def main() -> None:
    if sys.argv[1:2] == [OFFLINE]:
        return print(offline(Path(sys.argv[2])))
    if sys.argv[1:2] == [EVAL]:
        folder, n, recipe, *overrides = sys.argv[2:]
        return print(by_eval(choose_platform(load_settings(recipe, overrides)), int(n), Path(folder)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quickstart_cpu")
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    choose_platform(load_settings(options.recipe, options.overrides))  # for the processes that follow
    rates: dict[str, list[float]] = {EVAL: [], OFFLINE: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            work = Path(folder) / str(number)
            work.mkdir()
            rates[EVAL].append(rate_of(EVAL, str(work), str(options.problems), options.recipe, *options.overrides))
            if not options.seeds:
                drop_seeds(work / "work.json")
            rates[OFFLINE].append(rate_of(OFFLINE, str(work)))
            print(
                f"round {number + 1}: eval {rates[EVAL][-1]:.0f}, offline {rates[OFFLINE][-1]:.0f} tokens/s", flush=True
            )
    best, reference = max(rates[EVAL]), max(rates[OFFLINE])
    figure("tokens/s of `gsr-rl eval` over vLLM's offline engine", best / reference, "times")


def rate_of(*arguments: str) -> float:
    """The last word that a process of this script prints."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE)
    return float(done.stdout.split()[-1])


def by_eval(settings: Settings, n: int, folder: Path) -> float:
    """Tokens per second of `gsr-rl eval`; leaves the requests and the engine's arguments in `folder`."""
    roles = roles_of(settings)
    problems = pair_sums(n, seed=1, numbers=3, largest=30)
    plan = plan_of(settings, roles, [problem.problem for problem in problems])
    made: dict[str, tuple[Request, int]] = {}  # a backend may ask for an answer again that is in the journal

    async def work(ask: Ask, item: PlanItem) -> None:
        async def noted(request: Request) -> Answer:
            answer = await ask(request)
            made[request.key] = request, answer.tokens
            return answer

        await plan.generate(noted, item)

    warm_up = plan_items(pair_sums(8, seed=2, numbers=3, largest=40))
    with (
        backend_of(settings, roles.model, settings.longest_request, folder / "server.log") as backend,
        Journal(folder / "warm.jsonl") as warm,
        Journal(folder / "answers.jsonl") as journal,
    ):
        backend(warm, Job("warm-up", warm_up, plan.generate, len(warm_up)))
        start = time.perf_counter()
        backend(journal, Job("eval", plan_items(problems), work, n))
        seconds = time.perf_counter() - start
    served = roles.model.served
    engine = {**settings.engine_arguments(settings.longest_request), **served.engine}
    bodies = [request.body() for request, _ in made.values()]
    (folder / "work.json").write_text(json.dumps({"model": served.model, "engine": engine, "bodies": bodies}))
    generated = sum(tokens for _, tokens in made.values())
    print(f"eval: {len(made)} requests, {generated} tokens, {seconds:.1f} s", file=sys.stderr)
    return generated / seconds


def drop_seeds(path: Path) -> None:
    """Take the seeds out of the requests."""
    work = json.loads(path.read_text())
    work["bodies"] = [{**body, "seed": None} for body in work["bodies"]]
    path.write_text(json.dumps(work))


def offline(folder: Path) -> float:
    """Tokens per second of `LLM.generate` on the requests in `folder`."""
    from vllm import LLM, SamplingParams, TokensPrompt

    work = json.loads((folder / "work.json").read_text())
    llm = LLM(work["model"], **work["engine"])

    def generate(bodies: Sequence[dict[str, Any]]) -> int:
        prompts = [TokensPrompt(prompt_token_ids=body["prompt"]) for body in bodies]
        names = ("temperature", "top_p", "top_k", "max_tokens", "seed")
        params = [SamplingParams(**{name: body[name] for name in names if name in body}) for body in bodies]
        outputs = llm.generate(prompts, params, use_tqdm=False)
        return sum(len(completion.token_ids) for output in outputs for completion in output.outputs)

    # A warm-up that shares no prefix with the requests.
    generate([{**body, "prompt": [*body["prompt"][::-1]]} for body in work["bodies"][:48]])
    start = time.perf_counter()
    tokens = generate(work["bodies"])
    seconds = time.perf_counter() - start
    print(f"offline: {len(work['bodies'])} requests, {tokens} tokens, {seconds:.1f} s", file=sys.stderr)
    return tokens / seconds


if __name__ == "__main__":
    main()
