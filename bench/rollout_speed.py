"""The rollout of training, side by side in one run: against vLLM's offline engine, and against a barrier.

    python bench/rollout_speed.py [--recipe quickstart_cpu] [--model FOLDER] [--prompts 16] [--k 4] [--m 4]
                                  [--rounds 2] [key=value ...]

verl's own vLLM server is started in Ray with the recipe's settings, and `GsrAgentLoop` asks it through verl's client
for all prompts at once. The verdicts are given at once and are always "wrong", so that every set is refined and no
reward function takes part.

Against the offline engine: vLLM's `LLM.generate`, in a process of its own and with the same engine arguments, gets
the same requests, all at once. Each response has as many tokens as it had in verl. A second engine, which keeps vLLM's
own layers for a CPU, says what verl's weight sync costs there (gsr_rl/cpu/vllm_worker.py).

Against a barrier (pipeline.py): the lengths of the responses are drawn with a long tail. The same requests are sent
again, but no refinement before the candidates of all prompts are there.

Start-up does not count, a warm-up goes before, and each measurement begins with an empty prefix cache. Everything is
measured `--rounds` times in turn, and the best counts. On one GPU both engines need room: give
actor_rollout_ref.rollout.gpu_memory_utilization=0.35.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from figures import figure

from gsr_rl.settings.compose import load_settings, rl_config
from gsr_rl.stages.models import base_model
from gsr_rl.stages.platform import choose_platform

EXTENSION = "worker_extension_cls"
# What verl hands to vLLM under the same names (workers/rollout/vllm_rollout/vllm_async_server.py, 0.9.1).
ENGINE_KEYS = (
    "dtype",
    "load_format",
    "max_model_len",
    "max_num_seqs",
    "enable_chunked_prefill",
    "max_num_batched_tokens",
    "enable_prefix_caching",
    "logprobs_mode",
    "enforce_eager",
    "gpu_memory_utilization",
    "tensor_parallel_size",
    "seed",
    "scheduling_policy",
)


def main() -> None:
    options = parse()
    settings = load_settings(options.recipe, [f"gsr.k={options.k}", f"gsr.m={options.m}", *options.overrides])
    settings = choose_platform(settings)
    import pipeline  # imports verl, which looks for its platform at once
    from served import served

    model = options.model or base_model(settings)
    # The trainer would fill the server with its weights; here the server loads them itself.
    own = {"actor_rollout_ref.model.path": model, "actor_rollout_ref.rollout.load_format": "auto"}
    config = rl_config(settings, own)
    arguments = engine_arguments(config.actor_rollout_ref.rollout)
    plain = {key: value for key, value in arguments.items() if key != EXTENSION}
    started = time.perf_counter()
    with served(config, options.prompts) as rollout:
        print(f"verl's server took {time.perf_counter() - started:.0f} s to start", flush=True)
        pipeline.compare(rollout, options.rounds)
        with offline_engine(model, arguments) as engine:
            ratio = against_offline(rollout, engine, options.rounds, "the offline engine")
        figure("rollout in verl over vLLM's offline engine", ratio, "x")
        if EXTENSION in arguments:
            with offline_engine(model, plain) as engine:
                ratio = against_offline(rollout, engine, options.rounds, "the offline engine with vLLM's own layers")
            figure("rollout in verl over vLLM's offline engine with vLLM's own layers", ratio, "x")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quickstart_cpu")
    parser.add_argument("--model", help="a Hugging Face folder; by default the recipe's base model")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--m", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args()


def engine_arguments(rollout: Any) -> dict[str, Any]:
    """The arguments of vLLM's engine in verl's server."""
    from omegaconf import OmegaConf

    values: Any = OmegaConf.to_container(rollout, resolve=True)
    values["tensor_parallel_size"] = values["tensor_model_parallel_size"]
    return {key: values[key] for key in ENGINE_KEYS} | (values["engine_kwargs"].get("vllm") or {})


# The offline engine, in a process of its own

ENGINE: list[Any] = []  # in that process


@dataclass(frozen=True)
class Work:
    """Requests, as token ids and arguments of vLLM's SamplingParams."""

    prompts: list[list[int]]
    sampling: list[dict[str, Any]]


@contextmanager
def offline_engine(model: str, arguments: dict[str, Any]) -> Iterator[ProcessPoolExecutor]:
    """A process that holds `vllm.LLM`."""
    with ProcessPoolExecutor(1, get_context("spawn"), load, (model, arguments)) as process:
        yield process


def load(model: str, arguments: dict[str, Any]) -> None:
    from vllm import LLM

    ENGINE.append(LLM(model, **arguments))


def generate(work: Work) -> float:
    """Seconds of the offline engine for `work`, with an empty prefix cache."""
    from vllm import SamplingParams, TokensPrompt

    prompts = [TokensPrompt(prompt_token_ids=ids) for ids in work.prompts]
    params = [SamplingParams(**sampling) for sampling in work.sampling]
    assert ENGINE[0].reset_prefix_cache()
    start = time.perf_counter()
    outputs = ENGINE[0].generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - start
    made = [len(output.outputs[0].token_ids) for output in outputs]
    assert made == [sampling["max_tokens"] for sampling in work.sampling]
    return seconds


def against_offline(rollout: Any, engine: ProcessPoolExecutor, rounds: int, name: str) -> float:
    """How many times as many tokens per second verl's rollout makes as the offline engine."""
    served, offline = [], []
    for number in range(rounds):
        seconds, requests = rollout.run()
        work = work_of(requests)
        if number == 0:
            engine.submit(generate, Work(work.prompts[:16], work.sampling[:16])).result()  # a warm-up
        tokens = sum(request.tokens for request in requests)
        served.append(tokens / seconds)
        offline.append(tokens / engine.submit(generate, work).result())
        print(f"{tokens} tokens: verl {served[-1]:.0f}, {name} {offline[-1]:.0f} tokens/s", flush=True)
    return max(served) / max(offline)


def work_of(requests: Sequence[Any]) -> Work:
    """The same requests for the offline engine, with as many tokens as came back.

    `min_tokens` would forbid the end token at each step, which verl's rollout does not; `ignore_eos` is enough.
    """
    sampling = [
        request.sampling
        | {"max_tokens": request.tokens, "ignore_eos": True, "logprobs": 0 if request.sampling["logprobs"] else None}
        for request in requests
    ]
    return Work([request.prompt_ids for request in requests], sampling)


if __name__ == "__main__":
    main()
