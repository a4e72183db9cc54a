"""The control plane without a model: agent loops, verdicts, queue and the trainer's own steps, by rows in flight.

    python bench/control_plane.py [--rows 64 512 4096 16384] [--delay 0] [--tokens 40]

Real are our agent loop and worker (verl's constructor aside), verl's reward manager with our reward function, verl's
TransferQueue with one storage unit, verl's replay buffer, and of the trainer `_balance_batch`, `_compute_advantage` and
`_update_actor` with a stub that reads the rows as the actor would. A simulated client answers with a drawn number of
tokens after a drawn delay, both long-tailed. All prompts of a size start at once; each has 4 candidates and 4
refinements. Verdicts are given in the worker's process; in a run, verl's reward worker is a process of its own.

The costs a row are compared in processor time of all four processes, since other work on the machine does not change
it much; a ratio of 1 to the smallest size means linear growth. Memory is the growth of each process's resident set
since a first step of 64 rows, at its highest. It is sampled every 0.1 s, so the ratio to a small size, which fits into
what was held already, says little.

What takes the time: the worker's one thread, about half of the processor time a row. What cannot grow linearly, by the
code: the replay buffer fetches every tag of the queue at each poll, four times a second, until the step is whole; and
TransferQueue's client opens a socket for each request under way, at most 8192, so a worker that starts more prompts at
once loses some (the bench then stops and says so). Neither was reached in a measurement yet: the largest size that ran
so far is 512 rows (2026-11-28, 2 cores of an AMD EPYC, shared with a training).
"""

import argparse
import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
os.environ.setdefault("VERL_PLATFORM", "cpu")  # verl reads it when it is imported
os.environ.setdefault("TQ_LOGGING_LEVEL", "ERROR")

import psutil
import ray
import transfer_queue as tq
from figures import figure
from omegaconf import OmegaConf
from queued import make_trainer, update
from rollout import make_config, make_row, make_worker
from tiny import tiny_tokenizer
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils import tensordict_utils as tu
from verl.workers.rollout.replica import TokenOutput

from gsr_rl.verl_plugin.trainer import POLL_S
from gsr_rl.verl_plugin.worker import GsrAgentLoopWorker
from rewards.math_reward import compute_score

K, M = 4, 4
WARM_UP = 64  # rows of a first step, which does not count
FIRST_GUESS = 250e3  # bytes a row, before a size was measured
SPARE = 1.5e9  # bytes that stay free
ACTORS = {"SimulatedWorker": "worker", "SimpleStorageUnit": "storage unit", "TransferQueueController": "controller"}


class SimulatedClient:
    """Answers after a drawn delay with a drawn number of tokens, half of the time correctly."""

    def __init__(self, tokenizer: Any, delay: float, tokens: int) -> None:
        self.delay, self.tokens, self.rng = delay, tokens, random.Random(0)
        self.text = tokenizer.encode("We add 2 and 3, and check it: 3 + 2 = 5. " * 100)
        self.ends = [[*tokenizer.encode(f"\\boxed{{{n}}}"), tokenizer.eos_token_id] for n in (5, 6)]

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], priority: int = 0
    ) -> TokenOutput:
        end = self.rng.choice(self.ends)
        length = min(int(self.tokens * self.rng.lognormvariate(0, 0.7)), sampling_params["max_tokens"])
        ids = self.text[: max(length - len(end), 1)] + end
        await asyncio.sleep(self.delay * self.rng.lognormvariate(0, 1))
        versions = {"min_global_steps": 1, "max_global_steps": 1}
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), extra_fields=versions)


class SimulatedWorker(GsrAgentLoopWorker):
    """Our worker without verl's constructor, which loads a model's configuration. It judges in its own process."""

    def __init__(self, delay: float, tokens: int) -> None:
        import verl.experimental.agent_loop.agent_loop as agent_loop
        from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

        target = {"_target_": "gsr_rl.verl_plugin.agent_loop.GsrAgentLoop"}
        agent_loop._agent_loop_registry["gsr"] = OmegaConf.create(target)
        tokenizer, config = tiny_tokenizer(), make_config(4096, k=K, m=M, candidate_tokens=512, refinement_tokens=512)
        sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "calculate_log_probs": True}
        config.actor_rollout_ref.rollout.update(sampling)
        self.__dict__ |= make_worker(tokenizer, SimulatedClient(tokenizer, delay, tokens), config).__dict__
        remote = SimpleNamespace(remote=NaiveRewardManager(config, tokenizer, compute_score).run_single)
        self.reward_loop_worker_handles: Any = [SimpleNamespace(compute_score=remote)]
        self.background_tasks: set[asyncio.Task[Any]] = set()
        tq.init()

    async def settled(self) -> float:
        """Wait until all that was submitted is stored, and return the time."""
        while self.background_tasks:
            await asyncio.wait(self.background_tasks)
        return time.time()


class Buffer(ReplayBuffer):
    """verl's, with our interval of polling. Where verl would wait for ever for a lost prompt, it raises."""

    def __init__(self) -> None:
        super().__init__("sync", OmegaConf.create(), None, "drop", OmegaConf.create(), POLL_S)
        self.settled: Any = None
        self.last_look = False

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        if self.last_look:
            raise RuntimeError(f"{len(self.pending_keys[partition_id])} prompts were lost; see the log above")
        self.last_look = bool(ray.wait([self.settled], timeout=0)[0])
        return super()._wait_for_next_poll(partition_id, last_debug_time)


@dataclass(frozen=True)
class Part:
    """What one part of a step took: seconds by the clock, and of processor time by process."""

    seconds: float
    processor: dict[str, float]


class Processes:
    """The four processes that are measured: this one, which is the trainer, and Ray's actors."""

    def __init__(self) -> None:
        self.by_role = {"trainer": psutil.Process()}
        for process in psutil.Process().children(recursive=True):
            title = " ".join(process.cmdline())
            self.by_role |= {role: process for actor, role in ACTORS.items() if title.startswith(f"ray::{actor}")}
        assert len(self.by_role) == 4, self.by_role

    def now(self) -> Part:
        """The time, and the processor time that each took so far."""
        return Part(time.time(), {role: sum(process.cpu_times()[:2]) for role, process in self.by_role.items()})

    def memory(self) -> dict[str, float]:
        """Bytes that each holds."""
        return {role: float(process.memory_info().rss) for role, process in self.by_role.items()}

    @contextmanager
    def peak(self) -> Iterator[dict[str, float]]:
        """Fill a dict with the most bytes that each holds meanwhile."""
        peak, done = self.memory(), threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                peak.update({role: max(peak[role], now) for role, now in self.memory().items()})

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield peak
        finally:
            done.set()
            thread.join()


@dataclass(frozen=True)
class Measured:
    """What a step of so many rows took, and the bytes that each process grew by."""

    rows: int
    parts: dict[str, Part]
    grown: dict[str, float]

    @property
    def bytes_a_row(self) -> float:
        """Of all processes together."""
        return sum(self.grown.values()) / self.rows

    def by_row(self) -> dict[str, float]:
        """Name and unit -> what is compared between sizes. A ratio of 1 means that it grows linearly."""
        costs = {
            f"processor time of {name}, ms a row": 1e3 * sum(part.processor.values()) / self.rows
            for name, part in self.parts.items()
        }
        return costs | {"memory, kB a row": self.bytes_a_row / 1e3}


def took(start: Part, end: Part, ended: float | None = None) -> Part:
    """What lies between two times; `ended` is the time by the clock, if it is known better."""
    processor = {role: end.processor[role] - start.processor[role] for role in end.processor}
    return Part((ended or end.seconds) - start.seconds, processor)


class ControlPlane:
    """A worker, a queue and the trainer's steps."""

    def __init__(self, delay: float, tokens: int) -> None:
        self.worker: Any = ray.remote(SimulatedWorker).remote(delay, tokens)
        self.buffer, self.trainer = Buffer(), make_trainer(tiny_tokenizer())
        self.trainer.global_steps = 0
        ray.get(self.worker.settled.remote())  # it has started
        self.processes = Processes()
        self.step(WARM_UP)
        self.base = self.processes.memory()

    def measure(self, rows: int) -> Measured:
        """Take a step of so many rows, and print what each process took."""
        with self.processes.peak() as peak:
            parts = self.step(rows)
        grown = {role: peak[role] - self.base[role] for role in peak}
        for role in peak:
            costs = [f"{name} {1e3 * part.processor[role] / rows:6.2f} ms" for name, part in parts.items()]
            print(f"  a row, {role:12} {', '.join(costs)}, {grown[role] / rows / 1e3:6.1f} kB", flush=True)
        return Measured(rows, parts, grown)

    def step(self, rows: int) -> dict[str, Part]:
        """Take a step: the loops until all rows are stored, then what the trainer does with them."""
        self.trainer.global_steps += 1
        prompts, start = rows // (K + M), self.processes.now()
        self.submit(prompts)
        self.buffer.settled, self.buffer.last_look = self.worker.settled.remote(), False
        batch, _ = self.buffer.sample(self.trainer.global_steps, "train", prompts)
        stored = self.processes.now()
        assert len(batch) == rows, f"{len(batch)} of {rows} rows were stored"
        update(self.trainer, self.trainer._balance_batch(batch, {}))
        done = self.processes.now()
        tq.kv_clear(keys=batch.keys, partition_id="train")
        return {"loops": took(start, stored, ray.get(self.buffer.settled)), "trainer": took(stored, done)}

    def submit(self, prompts: int) -> None:
        """Register prompts and start their loops, as verl's trainer does (`_submit_batch_to_rollout`)."""
        step = self.trainer.global_steps
        rows = [make_row(uid=f"prompt{step}.{i}", index=i, agent_name="gsr") for i in range(prompts)]
        for row in rows:
            del row["session_id"], row["global_steps"]  # verl sets them
        batch = tu.list_of_dict_to_tensordict(rows)
        tu.assign_non_tensor_data(batch, "global_steps", step)
        tags = [{"is_prompt": True, "status": "pending", "global_steps": step} for _ in rows]
        tq.kv_batch_put(keys=[row["uid"] for row in rows], partition_id="train", tags=tags)
        ray.get(self.worker.generate_sequences.remote(batch))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 512, 4096, 16_384])
    parser.add_argument("--delay", type=float, default=0.0, help="median seconds of a response")
    parser.add_argument("--tokens", type=int, default=40, help="median tokens of a response")
    options = parser.parse_args()
    sizes = sorted({max(rows - rows % (K + M), K + M) for rows in options.rows})
    if not fits(sizes[0], FIRST_GUESS):
        return 2
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # Ray's processes inherit it
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
        compare(ControlPlane(options.delay, options.tokens), sizes)
        tq.close()
    finally:
        ray.shutdown()
    return 0


def compare(plane: ControlPlane, sizes: list[int]) -> None:
    """Measure sizes as long as they fit, and give each one's figures, and their ratios to those of the first."""
    measured: list[Measured] = []
    for rows in sizes:
        if measured and not fits(rows, measured[-1].bytes_a_row):
            break
        measured.append(plane.measure(rows))
        for name, part in measured[-1].parts.items():
            figure(f"{name}, {rows} rows in flight", rows / part.seconds, "rows/s")
        for name, value in measured[-1].by_row().items():
            figure(f"{name.split(', ')[0]}, {rows} rows in flight", value, name.split(", ")[1])
    first, *others = (one.by_row() for one in measured)
    for other, rows in zip(others, sizes[1:], strict=False):
        for name, value in other.items():
            figure(f"{name}, {rows} rows over {sizes[0]}", value / first[name], "times")


def fits(rows: int, bytes_a_row: float) -> bool:
    """Whether the free memory holds so many rows; if not, say so."""
    needed, free = rows * bytes_a_row, psutil.virtual_memory().available - SPARE
    if needed > free:
        print(f"bench: {rows} rows need about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free", file=sys.stderr)
    return needed <= free


if __name__ == "__main__":
    sys.exit(main())
