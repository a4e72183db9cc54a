"""Actors of a real Ray that stand for those of a training."""

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

import ray
import ray.cloudpickle

# Ray's processes cannot import this module.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class RewardLoopWorker:
    def pid(self) -> int:
        return os.getpid()

    def work(self, seconds: float) -> None:
        time.sleep(seconds)

    def leave(self) -> None:
        ray.actor.exit_actor()

    def fail(self, error: Exception) -> None:
        raise error


class vLLMHttpServer:
    def __init__(self) -> None:
        self.engine = SimpleNamespace(errored=False)

    async def lose_engine(self) -> None:
        self.engine.errored = True


def worker(name: str) -> tuple[Any, int]:
    handle: Any = ray.remote(RewardLoopWorker).options(name=name).remote()  # pyright: ignore[reportAttributeAccessIssue]
    return handle, ray.get(handle.pid.remote())


def server(name: str) -> Any:
    return ray.remote(vLLMHttpServer).options(name=name).remote()  # pyright: ignore[reportAttributeAccessIssue]
