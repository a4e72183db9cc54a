"""Who among the processes of a training is dead, and who is only busy or was ended on purpose. With a real Ray."""

import inspect
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import transfer_queue
import verl
import verl.workers.rollout.vllm_rollout.vllm_async_server as async_server
from actors import server, worker
from ray.core.generated.common_pb2 import ActorDeathCause, ActorDiedErrorContext, OomContext
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.core_client import MPClient

from gsr_rl.verl_plugin import deaths
from gsr_rl.verl_plugin.deaths import DiedError, check_alive


def said_of_death() -> str:
    """What `check_alive` says once it raises."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            check_alive()
        except DiedError as death:
            return str(death)
    raise AssertionError("nobody noticed")


def state_of(name: str) -> str:
    return next(actor["State"] for actor in deaths.actors().values() if actor["Name"] == name)


def test_before_ray_has_started_nothing_has_died() -> None:
    assert not ray.is_initialized()
    check_alive()


def test_a_busy_process_and_those_that_were_ended_on_purpose_are_no_deaths(job: None) -> None:
    busy, _ = worker("busy")
    busy.work.remote(600)
    ended, _ = worker("ended")
    dropped, _ = worker("dropped")
    leaves, _ = worker("leaves")
    ray.kill(ended)
    del dropped
    leaves.leave.remote()
    while {state_of("ended"), state_of("dropped"), state_of("leaves")} != {"DEAD"}:
        time.sleep(0.01)
    check_alive()


def test_who_died_first_is_named(job: None) -> None:
    (_first, pid), (_second, other) = worker("reward_loop_worker_3"), worker("reward_loop_worker_1")
    os.kill(pid, signal.SIGKILL)
    line = f"reward_loop_worker_3 (RewardLoopWorker, process {pid} on 127.0.0.1) has died: killed, perhaps for lack of"
    assert said_of_death().startswith(line)
    os.kill(other, signal.SIGKILL)
    while state_of("reward_loop_worker_1") != "DEAD":
        time.sleep(0.01)
    assert said_of_death().startswith(line)


def test_a_dead_engine_below_a_living_server_is_named(job: None) -> None:
    servers = [server(f"vllm_server_{replica}_0") for replica in range(2)]
    check_alive()
    ray.get(servers[1].lose_engine.remote())
    assert said_of_death().startswith("vLLM's engine below vllm_server_1_0 has died")


def test_a_server_without_an_engine_yet_is_alive() -> None:
    assert not deaths._has_dead_engine(SimpleNamespace())
    assert not deaths._has_dead_engine(SimpleNamespace(engine=SimpleNamespace(errored=False)))


def cause_of(reason: int) -> ActorDeathCause:
    return ActorDeathCause(actor_died_error_context=ActorDiedErrorContext(reason=reason))  # pyright: ignore


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (cause_of(ActorDiedErrorContext.WORKER_DIED), "killed, perhaps for lack of memory, or crashed"),
        (cause_of(ActorDiedErrorContext.NODE_DIED), "its node is gone"),
        (ActorDeathCause(oom_context=OomContext(error_message="...")), "Ray ended it for lack of memory"),
        (cause_of(ActorDiedErrorContext.RAY_KILL), None),
        (cause_of(ActorDiedErrorContext.OUT_OF_SCOPE), None),
        (cause_of(ActorDiedErrorContext.REF_DELETED), None),
        (cause_of(ActorDiedErrorContext.OWNER_DIED), None),
        (ActorDeathCause(), None),
    ],
)
def test_ways_to_die(cause: ActorDeathCause, said: str | None) -> None:
    actor = {
        "Name": "",
        "ActorClassName": "Router",
        "Pid": 7,
        "Address": {"IPAddress": "10.0.0.1"},
        "DeathCause": cause,
    }
    line = deaths._said_of_death(actor)
    assert line == (said and f"Router (Router, process 7 on 10.0.0.1) has died: {said}")


# What we rely on in verl, its queue and vLLM


def test_a_server_s_actor_is_found_by_its_class_and_name_and_holds_vllm_s_engine() -> None:
    assert async_server.vLLMHttpServer.__name__ == deaths.SERVER
    assert "self.server_class = ray.remote(vLLMHttpServer)" in inspect.getsource(async_server.vLLMReplica.__init__)
    assert "name=name" in inspect.getsource(async_server.vLLMReplica.launch_servers)
    assert "self.engine = engine_client" in inspect.getsource(async_server.vLLMHttpServer.run_server)
    assert "engine_client = AsyncLLM.from_vllm_config(" in inspect.getsource(async_server.vLLMHttpServer.run_server)
    # An actor of a replica's further nodes has no engine, and ends with its part of the engine.
    assert "os._exit(1)" in inspect.getsource(async_server.vLLMHttpServer.run_headless)


def test_vllm_notices_the_death_of_its_engine_s_process_by_itself() -> None:
    assert isinstance(AsyncLLM.errored, property)
    assert "self.engine_core.resources.engine_dead" in inspect.getsource(AsyncLLM.errored.fget)  # pyright: ignore
    monitor = inspect.getsource(MPClient.start_engine_core_monitor)
    assert "resources.engine_dead = True" in monitor and "Thread(" in monitor


def test_nothing_in_verl_or_its_queue_restarts_an_actor() -> None:
    for package in (verl, transfer_queue):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            assert "max_restarts" not in path.read_text(), path


def test_a_step_s_samples_are_looked_at_before_anything_is_made_of_them() -> None:
    steps = ("self.replay_buffer.sample(", "self.on_sample_end()", "self._balance_batch(")
    source = inspect.getsource(PPOTrainer._step_once)
    assert sorted(steps, key=source.index) == list(steps)
    validation = inspect.getsource(PPOTrainer._validate)
    assert validation.index("self.replay_buffer.sample(") < validation.index("self._val_metrics_update(")
