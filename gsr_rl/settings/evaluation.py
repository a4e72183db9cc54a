"""The `eval:` section: which model is evaluated, on what, and how much is sampled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from gsr_rl.section import Section, require_field
from gsr_rl.settings.gsr import Gsr
from gsr_rl.settings.served import Served

PATIENT_S = 7200.0  # limit of one request of an evaluation


@dataclass(frozen=True)
class Design:
    """How many responses are sampled for each problem.

    Without `sets`: `pool` candidates are sampled. For each size k in `sizes`, the first k candidates form one set,
    which gets `m` refinements; the rest of the pool are extra candidates, which the refiner does not see.

    With `sets` (a recursion, RSA, arXiv 2509.26626): in each of `rounds` rounds, `sets` different sets are drawn from
    the pool, and each gets one refinement. The refinements are the pool of the next round. For example pool=16,
    sets=16 and rounds=3 make 16 + 3 * 16 responses. The first `extra` candidates outside a set are its extra ones.
    """

    sizes: Sequence[int]
    pool: int
    m: int = 1
    extra: int = 1
    sets: int = 0
    rounds: int = 1


class Eval(Section):
    """Which model is evaluated, on what, and how much is sampled; see [evaluation.md](evaluation.md)."""

    name: str | None = None
    """Name in the report and of the files; null for a name made of the model's. The chain sets it."""
    model: str | None = None
    """Model to evaluate: a Hugging Face folder, a hub name, or the base URL of an OpenAI-compatible server; null for \
`base_model`. `model=` is short for `eval.model=`. The chain sets it."""
    split: Literal["train", "dev", "held_out"] = "held_out"
    """Problems of the run to evaluate on, without benchmarks: `held_out` for the report, `dev` for all tuning."""
    benchmarks: list[str] | None = None
    """Benchmarks to evaluate on: names of evaluation sets, and files with the columns id, problem and answer; null \
for the run's own split. The chain evaluates on the split alone."""
    tokenizer: str | None = None
    """Folder or hub name of the tokenizer that fits candidates into the refinement prompt, where the refining model \
is at a URL; null: candidates are shown whole."""
    extra_candidates: int = Field(default=1, ge=0)
    """Candidates that the refiner does not see, for maj@(K+1)."""
    swapped: int = Field(default=100, ge=0)
    """Number of problems of each benchmark that are, in their first repeat, also refined with another problem's \
candidates, as a control; 0 for none. A recursion has no such control."""
    pool: int | None = None
    """Candidates sampled for a problem; null for a set and its extra candidates. All that are in no set are extra."""
    repeats: int = Field(default=1, ge=1)
    """How often each problem is evaluated, each time with other samples; the repeats are rows with the same id."""
    sweep: list[int] | None = None
    """Numbers of candidates to refine instead of `gsr.k`, such as [2, 4, 8]; each number gets files of its own."""
    population: int | None = None
    """Recursion (RSA): this many candidates, and in each round as many refinements, each of a set of `gsr.k`."""
    rounds: int = Field(default=1, ge=1)
    """Rounds of the recursion; above 1 only with `eval.population`."""
    server: Served = Served(timeout_s=PATIENT_S)
    """The evaluated model. At a URL, `model` is its name there, and `urls` may stand in place of `model=URL` to name \
several servers. `extra_body` and `engine` count for a model without URLs too."""
    refiner: Served = Served(timeout_s=PATIENT_S)
    """Another model that refines the candidates, if its `model` is set."""
    reward_model: Served = Served(timeout_s=PATIENT_S)
    """A reward model that scores the candidates, if its `model` is set."""

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.benchmarks is not None:
            is_list = 0 < len(self.benchmarks) == len(set(self.benchmarks))
            hint = "a list of different set names and files, such as [aime24,mine.jsonl]"
            require_field(is_list, "benchmarks", self.benchmarks, hint)
        if is_url(self.model):
            require_field(not self.server.urls, "server.urls", self.server.urls, "empty beside model=URL")
            require_field(bool(self.server.model), "server.model", self.server.model, "the model's name at model=URL")
        elif self.server.urls:
            hint = "null where eval.server.urls says where the model is"
            require_field(self.model is None, "model", self.model, hint)
        else:
            hint = "null where model is a folder or hub name: it is a model's name at a URL"
            require_field(self.server.model is None, "server.model", self.server.model, hint)
        for name in ("refiner", "reward_model"):
            model = getattr(self, name).model
            require_field(not is_url(model), f"{name}.model", model, f"a name; the URL belongs into eval.{name}.urls")
        at_url = bool(self.refiner.urls) if self.refiner.model else is_url(self.model) or bool(self.server.urls)
        hint = "null: the model that refines is not at a URL, and has its own tokenizer"
        require_field(self.tokenizer is None or at_url, "tokenizer", self.tokenizer, hint)
        return self

    def design(self, gsr: Gsr) -> Design:
        """How many responses are sampled for each problem; refuses numbers that do not fit together."""
        sizes, extra = [gsr.k] if self.sweep is None else self.sweep, self.extra_candidates
        are_sizes = 0 < len(sizes) == len(set(sizes)) and min(sizes) >= 1
        hint = "null, or a list of different whole numbers of at least 1"
        require_field(are_sizes, "eval.sweep", self.sweep, hint)
        least = max(sizes) + extra
        hint = f"null, or at least {least}: a set of {max(sizes)} and eval.extra_candidates={extra}"
        require_field(self.pool is None or self.pool >= least, "eval.pool", self.pool, hint)
        if self.population is None:
            hint = f"the candidates of each of eval.rounds={self.rounds}"
            require_field(self.rounds == 1, "eval.population", None, hint)
            return Design(sizes, self.pool or least, gsr.validation.m, extra)
        for name in ("pool", "sweep"):
            value = getattr(self, name)
            require_field(value is None, f"eval.{name}", value, "null beside eval.population")
        require_field(gsr.validation.m == 1, "gsr.validation.m", gsr.validation.m, "1 beside eval.population")
        least = max(least, gsr.k + 1)
        hint = f"null, or at least {least}: gsr.k={gsr.k} and eval.extra_candidates={extra}, and more than gsr.k"
        require_field(self.population >= least, "eval.population", self.population, hint)
        return Design(sizes, self.population, 1, extra, self.population, self.rounds)


def is_url(model: str | None) -> bool:
    """Whether a model's name is the base URL of a server."""
    return model is not None and model.startswith(("http://", "https://"))
