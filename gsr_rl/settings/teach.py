"""The `teach:` section: who samples candidates, who writes targets, and which of both are kept."""

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gsr_rl.prompts import PromptSet
from gsr_rl.section import Section, require_field
from gsr_rl.settings.gsr import Gsr
from gsr_rl.settings.served import Served


class Llm(Served):
    """A language model as the teacher, and its sampling."""

    temperature: float | None = Field(default=0.6, ge=0)
    """Temperature of the targets; null leaves it to the server."""
    top_p: float | None = Field(default=0.95, gt=0, le=1)
    """Share of the probability mass that tokens of a target are drawn from; null leaves it to the server."""
    top_k: int | None = Field(default=None, ge=1)
    """Number of most probable tokens that are drawn from; null leaves it to the server."""
    max_tokens: int = Field(default=4096, ge=1)
    """Most tokens of a target, its thinking included."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of a request, named as in the OpenAI API."""
        sampling = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        given = {name: value for name, value in sampling.items() if value is not None}
        return {**given, "max_tokens": self.max_tokens, **self.extra_body}


class Teach(Section):
    """Who samples candidates, who writes targets, and which of both are kept; see [teach.md](teach.md)."""

    teacher: Literal["oracle", "llm"] = "oracle"
    """`oracle`: a solver of the pair sums, which writes worked solutions and says where candidates err. `llm`: the \
language model of `teach.llm`."""
    direct_solutions: Literal["one_try", "check_pairs"] = "one_try"
    """Direct solutions of the oracle: `one_try` subtracts one number and checks nothing; `check_pairs` checks one \
pair after another."""
    problems: int | None = Field(default=None, ge=1)
    """Problems of the train split to sample candidates for; null for all. Direct solutions are written for all."""
    pool: int | None = None
    """Candidates sampled for a problem, at least `gsr.k`; null for `gsr.k`."""
    sets_per_problem: int = 1
    """Number of different sets of `gsr.k` candidates that are drawn from the pool of a problem."""
    tries: int = Field(default=1, ge=1)
    """Most targets that an LLM writes for one prompt, until one is correct."""
    keep: Literal["correct", "all"] = "correct"
    """Which targets of an LLM become rows: those that the reward function finds `correct`, or `all` that the token \
limit did not cut off."""
    refine_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of refinement in the SFT rows, by supervised tokens: 0 keeps direct rows alone, 1 refinement rows alone."""
    thinking: Literal["keep", "drop"] = "drop"
    """`keep` an LLM's thinking in its targets, between think tags, or `drop` it."""
    val_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of the problems whose SFT rows are for validation alone (`sft.data.val_files`)."""
    prompts: dict[str, Any] = {}
    """Prompts for the LLM that differ from the student's; keys as in `gsr.prompts`. SFT rows hold the student's \
prompts."""
    student: Served = Served()
    """The student, which samples the candidates by `gsr.validation.candidate` and `gsr.candidate_tokens`. Without \
`model` it is the latest model of the chain."""
    llm: Llm = Llm()
    """The teacher, with `teach.teacher=llm`; then `model` must be set."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        greedy = self.llm.temperature == 0 and self.tries > 1
        hint = f"above 0 with teach.tries={self.tries}: all targets would be the same"
        require_field(not greedy, "llm.temperature", 0, hint)
        if self.teacher == "llm":
            hint = "the name of a model at teach.llm.urls, or without URLs a folder or hub name"
            require_field(bool(self.llm.model), "llm.model", self.llm.model, hint)
        return self

    def check_sets(self, k: int) -> None:
        """For the validator of the whole: a pool must hold as many different sets of `k` as are to be drawn."""
        pool = self.pool_size(k)
        require_field(pool >= k, "teach.pool", pool, f"at least gsr.k={k}")
        most, sets = math.comb(pool, k), self.sets_per_problem
        hint = f"from 1 to {most}, the sets of {k} among {pool}"
        require_field(1 <= sets <= most, "teach.sets_per_problem", sets, hint)

    def pool_size(self, k: int) -> int:
        """Candidates sampled for a problem, where a set has `k`."""
        return k if self.pool is None else self.pool

    def teacher_prompts(self, gsr: Gsr) -> PromptSet:
        """The prompts of the language model: the student's, with `teach.prompts` on top.

        Raises:
            UsageError: a key or template that cannot be used.
        """
        return PromptSet.of(gsr.prompts.model_dump() | self.prompts, "teach.prompts")
