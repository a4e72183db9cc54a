"""Whether the processes of a training are alive. verl 0.9.1 waits for some dead processes for ever."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import ray
from ray._private.state import actors
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import RayActorError

SERVER = "vLLMHttpServer"  # verl's actor above an engine of vLLM's
ANSWER_S = 5.0
_CRASH = "killed, perhaps for lack of memory, or crashed"
_ON_PURPOSE = "Worker exit type: INTENDED_"  # an actor that ended itself, in Ray's message


class DiedError(RuntimeError):
    """A process that the training needs has died."""


def check_alive() -> None:
    """Every actor of this Ray job is alive, and every engine of vLLM's below an actor.

    Ray and vLLM themselves say who is dead, so a process that is busy for minutes is not taken for dead.

    Raises:
        DiedError: names the process that died first.
    """
    if not ray.is_initialized():
        return
    # Ray's public list of actors needs the dashboard, which a run may do without.
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    there = list(actors(job_id=job).values())
    dead = sorted((actor["EndTime"], said) for actor in there if (said := _said_of_death(actor)))
    if dead:
        raise DiedError(dead[0][1])
    servers = [actor["Name"] for actor in there if (actor["ActorClassName"], actor["State"]) == (SERVER, "ALIVE")]
    for server in _with_dead_engine(servers):
        raise DiedError(f"vLLM's engine below {server} has died: {_CRASH}")


def _said_of_death(actor: Mapping[str, Any]) -> str | None:
    """What to say of an actor that nobody ended on purpose; None for the others.

    An actor whose constructor failed is not named: its error says more, and verl raises it.
    """
    death = actor["DeathCause"].actor_died_error_context
    if actor["DeathCause"].WhichOneof("context") == "oom_context":
        cause = "Ray ended it for lack of memory"
    elif death.reason == ActorDiedErrorContext.WORKER_DIED and _ON_PURPOSE not in death.error_message:
        cause = _CRASH
    elif death.reason == ActorDiedErrorContext.NODE_DIED:
        cause = "its node is gone"
    else:
        return None
    name = actor["Name"] or actor["ActorClassName"]
    where = f"{actor['ActorClassName']}, process {actor['Pid']} on {actor['Address']['IPAddress']}"
    return f"{name} ({where}) has died: {cause}"


def _with_dead_engine(servers: Iterable[str]) -> list[str]:
    """The servers that answer, and say that their engine is dead. A busy server answers another time."""
    asked: dict[Any, str] = {}
    for server in servers:
        with suppress(ValueError):  # it has ended since
            asked[ray.get_actor(server).__ray_call__.remote(_has_dead_engine)] = server
    answered: list[Any] = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)[0] if asked else []
    dead: list[str] = []
    for answer in answered:
        with suppress(RayActorError):  # it has died since, and Ray lists it the next time
            dead += [asked[answer]] if ray.get(answer) else []
    return dead


def _has_dead_engine(server: Any) -> bool:
    """In the server's process. It has no engine before it is launched, nor on the further nodes of a replica."""
    engine = getattr(server, "engine", None)
    return engine is not None and engine.errored
