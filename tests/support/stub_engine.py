"""verl's TrainingWorker around an engine that does not train, but keeps the batches that it is given."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, TypeVar

from tensordict import TensorDict
from verl.utils.profiler import DistProfiler
from verl.workers.engine_workers import TrainingWorker

W = TypeVar("W", bound=TrainingWorker)


class StubEngine:
    """The part of verl's engine that TrainingWorker calls."""

    def __init__(self) -> None:
        self.batches: list[TensorDict] = []

    def get_data_parallel_group(self) -> None: ...

    def get_data_parallel_rank(self) -> int:
        return 0

    def get_data_parallel_size(self) -> int:
        return 1

    def is_mp_src_rank_with_outputs(self) -> bool:
        return True

    def train_mode(self, **_: Any) -> Any:
        return nullcontext()

    def lr_scheduler_step(self) -> float:
        return 0.1

    def train_batch(self, data: TensorDict, loss_function: Any) -> dict[str, Any]:
        self.batches.append(data)
        return {"loss": [0.0], "metrics": {}, "model_output": {}}


def make_training_worker(cls: type[W]) -> tuple[W, StubEngine]:
    """A worker without a call of its constructor, which would start a process group and load a model."""
    worker: Any = object.__new__(cls)
    worker.engine = StubEngine()
    worker.device_name = "cpu"
    worker.model_config = {}
    worker.engine_config = SimpleNamespace(
        forward_only=False,
        use_dynamic_bsz=True,
        max_token_len_per_gpu=64,
        micro_batch_size_per_gpu=None,
        use_fused_kernels=False,
    )
    worker.profiler = DistProfiler(rank=0)
    worker.flops_counter = None
    worker.set_loss_fn(lambda **_: None)
    return worker, worker.engine
