"""A model's part in a run: what it is called in requests, and the backend that answers them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.fingerprints import model_fingerprint
from gsr_rl.generation.engine import Engine
from gsr_rl.generation.generate import Backend, ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import ModelAccess
from gsr_rl.generation.ray_engine import RayReplicas
from gsr_rl.generation.rounds import in_rounds
from gsr_rl.generation.scores import at_root
from gsr_rl.generation.serve import at_urls
from gsr_rl.generation.tokenizers import load_tokenizer
from gsr_rl.settings.gsr import Sampling
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Settings, sampling_parameters

MOST_REQUESTS = 1_000  # in flight to a server
# Arguments of the engine that say where and how fast it runs. Answers may depend on every other argument.
_OPERATIONAL = {
    *("max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "kv_cache_memory_bytes"),
    *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "enforce_eager", "seed", "api_key"),
    *("enable_prefix_caching", "block_size", "download_dir", "disable_log_stats", "distributed_executor_backend"),
}


@dataclass(frozen=True)
class Role:
    """A model and its part.

    Args:
        key: section of the recipe, for errors.
        served: its servers, or the folder or hub name of a model that runs here.
        name: its name in requests.
        engine: arguments of the engine on which answers depend, where the model runs here.
    """

    key: str
    served: Served
    name: str
    engine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        """Whether the model is at a URL."""
        return bool(self.served.urls)


def role_of(settings: Settings, key: str, served: Served) -> Role:
    """The role of a model: by its own name at a URL, by a short name where it runs here."""
    if served.urls:
        return Role(key, served, str(served.model))
    name = short_name(str(served.model))
    arguments = {**settings.engine_arguments(0), **served.engine}
    # A quarter more requests than the engine takes, so that it never waits for one.
    concurrency = min(MOST_REQUESTS, arguments["max_num_seqs"] * 5 // 4)
    engine = {name: value for name, value in arguments.items() if name not in _OPERATIONAL and value is not None}
    return Role(key, served.model_copy(update={"concurrency": concurrency}), name, engine)


def short_name(model: str) -> str:
    """Short name for file names: `parent-folder` for a folder, else the part after the last slash."""
    parts: Sequence[str] = Path(model).resolve().parts[-2:] if Path(model).is_dir() else [model.rpartition("/")[2]]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-")


def access_to(settings: Settings, role: Role, tokenizer: str | None = None) -> ModelAccess:
    """How a model is asked in both stages, with the sampling of `gsr.validation`.

    Args:
        tokenizer: of a model at a URL, for the budget of its refinement prompt.
    """
    gsr, chat_kwargs = settings.gsr, settings.verl.chat_kwargs

    def parameters(sampling: Sampling, max_tokens: int) -> dict[str, Any]:
        template = chat_kwargs if role.is_remote else {}
        return {**sampling_parameters(sampling, max_tokens, template), **role.served.extra_body}

    folder = tokenizer if role.is_remote else str(role.served.model)
    return ModelAccess(
        name=role.name,
        prompts=gsr.prompts,
        tokenizer=load_tokenizer(folder) if folder else None,
        by_tokens=not role.is_remote,
        max_tokens=settings.verl.rollout.prompt_length,
        chat_kwargs=chat_kwargs,
        candidate=parameters(gsr.validation.candidate, gsr.candidate_tokens),
        refinement=parameters(gsr.validation.refinement, gsr.refinement_tokens),
    )


@contextmanager
def backend_of(settings: Settings, role: Role, longest: int, log: Path, *, pooling: bool = False) -> Iterator[Backend]:
    """Whoever answers the requests to a model: its servers, or `generation.backend` where it has no URLs.

    Args:
        longest: most tokens of a prompt and its response.
        log: file for the output of a server that is started.
        pooling: the model is asked by vLLM's pooling API, which only servers have.
    """
    served, engine = role.served, settings.engine_arguments(longest)
    backend = "server" if served.urls or pooling else settings.generation.backend
    if backend == "ray":
        yield partial(in_rounds, RayReplicas(settings, served, engine).sample, served)
    elif backend == "process":
        with Engine(str(served.model), {**engine, **served.engine}) as here:
            yield partial(in_rounds, here.sample, served)
    else:
        engine |= {} if served.urls else {"served_model_name": role.name}
        with at_urls(served, engine, log) as there:
            yield partial(ask_servers, at_root(there) if pooling else there)


def claim_weights(journal: Journal, roles: Sequence[Role]) -> None:
    """A model's name does not identify its weights, so the journal records what answers by that name.

    Raises:
        UsageError: a model of this name had other weights or another engine when it answered; says what changed.
    """
    for role in roles:
        key, now = f"weights of {role.name}", _identity(role)
        if key not in journal:
            journal.write([(key, now)])
        elif changes := _changes(journal[key], now):
            raise UsageError(
                f"{role.served.model}: not the model called {role.name} that answered here before "
                f"({', '.join(changes)}); remove {journal.path}, or choose another run_dir"
            )


def _identity(role: Role) -> dict[str, Any]:
    """The model's weights, and the arguments of its engine on which answers depend, as the journal holds them."""
    if role.is_remote:
        return {"weights": "served elsewhere"}
    weights = model_fingerprint(str(role.served.model), role.engine.get("revision"))
    return json.loads(json.dumps({**role.engine, "weights": weights}, default=str))


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted((was.keys() | now.keys()) - {"key"})
    return [f"{name}: {was.get(name)} -> {now.get(name)}" for name in names if was.get(name) != now.get(name)]
