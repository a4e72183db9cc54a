"""The `eval:` section of a recipe, and by it whose candidates are refined by whom, and scored.

Its defaults stand in recipes/base.yaml.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data_prep.hub import check_source
from data_prep.sets import SETS
from gsr_rl.errors import require
from gsr_rl.settings.compose import typed_section
from gsr_rl.settings.gsr import GsrConfig
from gsr_rl.settings.run_folder import base_model
from gsr_rl.settings.sections import engine_arguments, gsr_config
from gsr_rl.settings.served import Served

# Names of the chain's own evaluations, by which it knows that they are done.
OF_THE_CHAIN = ("base", "sft", "grpo")
MOST_REQUESTS = 1_000  # at a time, of gsr_rl.generation.servers


@dataclass(frozen=True)
class Design:
    """How many of what, for each problem.

    `pool` candidates are sampled. Of each size in `sizes` the first ones are a set, which gets `m` refinements; the
    rest of the pool are its extra candidates. With `sets`, so many sets are drawn from the pool in their place, and
    their refinements are the pool of the next of `rounds` rounds (RSA, arXiv 2509.26626); of those of the pool that are
    not in a set, the first `extra` are its extra candidates then.
    """

    sizes: Sequence[int]
    pool: int
    m: int = 1
    extra: int = 1
    sets: int = 0
    rounds: int = 1


@dataclass(frozen=True)
class EvalConfig:
    """What is evaluated, and how much of it is sampled; docs/evaluation.md says more.

    server: how the model is asked where it is at a URL. refiner: another model that refines its candidates;
    reward_model: one that scores them. Either is there if its `model` is set.
    """

    name: str | None
    model: str | None
    split: str
    extra_candidates: int
    pool: int | None
    repeats: int
    sweep: list[int] | None
    population: int | None
    rounds: int
    swapped: int
    engine: dict[str, Any]
    server: Served
    refiner: Served
    reward_model: Served

    def design(self, gsr: GsrConfig) -> Design:
        """How many of what is sampled for each problem.

        Raises:
            UsageError: numbers that do not fit each other; names the key.
        """
        sizes, extra = [gsr.k] if self.sweep is None else self.sweep, self.extra_candidates
        whole = all(isinstance(one, int) and one >= 1 for one in sizes)
        require(
            whole and 0 < len(sizes) == len(set(sizes)),
            "eval.sweep",
            self.sweep,
            "null, or a list of different whole numbers from 1",
        )
        for key, least in (("extra_candidates", 0), ("swapped", 0), ("repeats", 1), ("rounds", 1)):
            require(getattr(self, key) >= least, f"eval.{key}", getattr(self, key), f"at least {least}")
        least = max(sizes) + extra
        mend = f"null, or at least {least}: a set of {max(sizes)} and eval.extra_candidates={extra}"
        require(self.pool is None or self.pool >= least, "eval.pool", self.pool, mend)
        if self.population is None:
            require(self.rounds == 1, "eval.population", None, f"the candidates of each of eval.rounds={self.rounds}")
            return Design(sizes, self.pool or least, gsr.validation.m, extra)
        mend = "null beside eval.population"
        require(self.pool is None, "eval.pool", self.pool, mend)
        require(self.sweep is None, "eval.sweep", self.sweep, mend)
        require(gsr.validation.m == 1, "gsr.validation.m", gsr.validation.m, "1 beside eval.population")
        least = max(least, gsr.k + 1)
        mend = f"null, or at least {least}: gsr.k={gsr.k} and eval.extra_candidates={extra}, and more than gsr.k"
        require(self.population >= least, "eval.population", self.population, mend)
        return Design(sizes, self.population, 1, extra, self.population, self.rounds)


@dataclass(frozen=True)
class Role:
    """A model of the evaluation: its servers, or what is to be served here, and its name in requests."""

    key: str
    served: Served
    name: str

    @property
    def is_remote(self) -> bool:
        return bool(self.served.urls)


@dataclass(frozen=True)
class Roles:
    """Who samples the candidates, who refines them (the same one, or another), who scores them (maybe nobody)."""

    model: Role
    refiner: Role
    reward_model: Role | None

    def all(self) -> list[Role]:
        """Each once."""
        others = [one for one in (self.refiner, self.reward_model) if one is not None and one != self.model]
        return [self.model, *others]

    @property
    def title(self) -> str:
        """A name for the files of the evaluation."""
        name = short_name(self.model.name)
        return name if self.refiner == self.model else f"{name}-by-{short_name(self.refiner.name)}"


def eval_config(config: DictConfig) -> EvalConfig:
    """The section, checked; without `benchmarks`, that it asks for nothing that they alone have.

    Raises:
        UsageError: one line that names the key, what is wrong and the mend.
    """
    section = typed_section(config, "eval", EvalConfig)
    section.design(gsr_config(config))
    if config.benchmarks is None:
        asked = {"repeats": section.repeats > 1, "refiner.model": section.refiner.model}
        asked |= {key: getattr(section, key) for key in ("pool", "sweep", "population")}
        asked |= {"reward_model.model": section.reward_model.model, "server.urls": section.server.urls}
        for key, is_set in asked.items():
            require(not is_set, f"eval.{key}", OmegaConf.select(config.eval, key), "left alone without benchmarks")
        require(not _is_url(section.model), "model", section.model, "a folder or hub name without benchmarks")
    return section


def check_benchmarks(benchmarks: Any) -> list[str]:
    """The benchmarks that are asked for: evaluation sets by name, and files.

    Raises:
        UsageError: no list of them, one of them twice, a training set, or neither a set nor a file that is there.
    """
    is_list = isinstance(benchmarks, Sequence) and not isinstance(benchmarks, str)
    names: list[Any] = list(benchmarks) if is_list else [benchmarks]
    listed = bool(names) and all(isinstance(one, str) for one in names) and len(set(names)) == len(names)
    require(listed, "benchmarks", names, "a list of different set names and files, such as [aime24,mine.jsonl]")
    for name in names:
        check_source(name, "benchmarks")
        trained_on = name in SETS and SETS[name].use == "training"
        require(not trained_on, "benchmarks", name, "an evaluation set, or a file; this is a training set")
    return names


def roles(config: DictConfig) -> Roles:
    """The models of the evaluation.

    Raises:
        UsageError: one is not said, or said twice; a URL or setting that cannot be used.
    """
    section = eval_config(config)
    server = section.server
    if _is_url(section.model):
        require(not server.urls, "eval.server.urls", server.urls, "empty beside model=URL")
        server = replace(server, urls=[str(section.model)])
    elif server.urls:
        require(section.model is None, "model", section.model, "null where eval.server.urls says where it is")
    else:
        mend = "null where model is a folder or hub name: it is what a model is called at a URL"
        require(server.model is None, "eval.server.model", server.model, mend)
        server = replace(server, model=section.model or base_model(config))
    model = _role(config, "eval.server", server)
    scores = replace(section.reward_model, engine={"runner": "pooling", **section.reward_model.engine})
    refiner = _other(config, "eval.refiner", section.refiner)
    return Roles(model, refiner or model, _other(config, "eval.reward_model", scores))


def _other(config: DictConfig, key: str, served: Served) -> Role | None:
    return _role(config, key, served) if served.model or served.urls else None


def _role(config: DictConfig, key: str, served: Served) -> Role:
    if _is_url(served.model):
        require(False, f"{key}.model", served.model, f"a name; the URL belongs into {key}.urls")
    served.check(key)
    if served.urls:
        return Role(key, served, str(served.model))
    name = short_name(str(served.model))
    seats = {**engine_arguments(config, 0), **served.engine}["max_num_seqs"]
    # A quarter more than it takes, so that it never waits for a request.
    concurrency = min(MOST_REQUESTS, seats * 5 // 4)
    engine = {"served_model_name": name, **served.engine}
    return Role(key, replace(served, concurrency=concurrency, engine=engine), name)


def short_name(model: str) -> str:
    """For files: of a folder its name and that of the one that it is in, else what follows the last slash."""
    parts: Sequence[str] = Path(model).resolve().parts[-2:] if Path(model).is_dir() else [model.rpartition("/")[2]]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-")


def _is_url(model: str | None) -> bool:
    return model is not None and model.startswith(("http://", "https://"))
