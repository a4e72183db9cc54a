"""How a training ends whose processes die: at once, in one line, and with nothing of it trained on or written."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from actors import worker
from composed import changed, composed
from omegaconf import OmegaConf

from gsr_rl.errors import UsageError
from gsr_rl.stages import train as train_stage
from gsr_rl.verl_plugin import launch, trainer
from gsr_rl.verl_plugin.deaths import DiedError
from gsr_rl.verl_plugin.launch import GsrTaskRunner
from gsr_rl.verl_plugin.trainer import GsrTrainer


def launched(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> None:
    """`launch.train`, with `run` in place of verl's entry."""
    monkeypatch.setattr(launch, "run_ppo", lambda config, task_runner_class: run())
    launch.train(OmegaConf.create())


def test_a_run_that_waits_for_ever_ends_when_a_process_dies(job: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "LOOK_S", 0.2)
    (waits, _), (_dies, pid) = worker("waits"), worker("dies")
    killed: list[float] = []

    def run() -> None:
        threading.Timer(0.5, lambda: (killed.append(time.monotonic()), os.kill(pid, signal.SIGKILL))).start()
        ray.get(waits.work.remote(600))

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(DiedError, match=rf"^dies \(RewardLoopWorker, process {pid} on 127\.0\.0\.1\) has died"):
        launched(monkeypatch, run)
    assert time.monotonic() - killed[0] < 30
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_of_the_user_s_stays_one(job: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        launched(monkeypatch, run)


def test_a_run_that_ends_well_is_not_interrupted(job: None, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, lambda: None)


@pytest.mark.parametrize("error", [DiedError("reward_loop_worker_0 has died"), UsageError("key=1: must be 2")])
def test_what_the_task_runner_found_comes_without_its_traceback(
    job: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    runner, _ = worker("runner")
    with pytest.raises(type(error)) as raised:
        launched(monkeypatch, lambda: ray.get(runner.fail.remote(error)))
    assert type(raised.value) is type(error) and str(raised.value) == str(error)


def test_a_task_runner_that_dies_is_named(job: None, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, pid = worker("runner")

    def run() -> None:
        os.kill(pid, signal.SIGKILL)
        ray.get(runner.work.remote(600))

    with pytest.raises(DiedError, match=rf"^runner \(RewardLoopWorker, process {pid} on"):
        launched(monkeypatch, run)


@pytest.mark.parametrize("dead", [True, False])
def test_a_death_behind_verl_s_error_is_what_the_run_ends_with(monkeypatch: pytest.MonkeyPatch, dead: bool) -> None:
    def fail(*_: object) -> None:
        raise KeyError("status")

    monkeypatch.setattr(GsrTaskRunner.__base__, "run", fail)
    monkeypatch.setattr(launch, "check_alive", die if dead else lambda: None)
    with pytest.raises(DiedError if dead else KeyError):
        object.__new__(GsrTaskRunner).run(OmegaConf.create())


def die() -> None:
    raise DiedError("reward_loop_worker_0 has died")


def test_a_step_s_samples_count_only_if_every_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    ours: Any = object.__new__(GsrTrainer)
    slept: list[int] = []
    ours.checkpoint_manager = SimpleNamespace(sleep_replicas=lambda: slept.append(1))
    ours.curr_step_profile = False
    ours.on_sample_end()
    assert slept == [1]
    monkeypatch.setattr(trainer, "check_alive", die)
    with pytest.raises(DiedError):
        ours.on_sample_end()
    assert slept == [1]


def test_a_validation_in_which_a_process_died_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "check_alive", die)
    infos = {"episode": [None]}
    with pytest.raises(DiedError):
        object.__new__(GsrTrainer)._val_metrics_update(["sums"], ["u"], infos, [0])
    assert infos == {"episode": [None]}


@pytest.mark.parametrize(("step", "then"), [(None, "begins anew"), (4, "goes on from step 4")])
def test_one_line_says_who_died_and_where_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int | None, then: str
) -> None:
    settings = changed(composed("quickstart_cpu"), f"run_dir={tmp_path}", "actor_rollout_ref.model.path=model")
    checkpoints = settings.folder.checkpoints("train")
    if step is not None:
        (checkpoints / f"global_step_{step}").mkdir(parents=True)
        (checkpoints / "latest_checkpointed_iteration.txt").write_text(str(step))
    monkeypatch.setattr(launch, "train", lambda config: die())
    with pytest.raises(SystemExit) as raised:
        train_stage.run(settings)
    assert raised.value.code == f"gsr-rl train: reward_loop_worker_0 has died; the same command {then}"
    assert not settings.folder.model("train").exists()
