"""The `teach:` section of a recipe. Its defaults stand in recipes/base.yaml."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from gsr_rl.errors import UsageError, require
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.gsr import GsrConfig, from_mapping
from gsr_rl.settings.served import Served


@dataclass(frozen=True)
class Llm(Served):
    """A language model as the teacher, and its sampling; null leaves a parameter to its server."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int

    def check(self, key: str) -> None:
        super().check(key)
        require(self.temperature is None or self.temperature >= 0, f"{key}.temperature", self.temperature, "from 0")
        require(self.top_p is None or 0 < self.top_p <= 1, f"{key}.top_p", self.top_p, "above 0 and at most 1")
        require(self.top_k is None or self.top_k >= 1, f"{key}.top_k", self.top_k, "null (all) or from 1")
        require(self.max_tokens >= 1, f"{key}.max_tokens", self.max_tokens, "at least 1")

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the API."""
        sampling = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        given = {name: value for name, value in sampling.items() if value is not None}
        return {**given, "max_tokens": self.max_tokens, **self.extra_body}


@dataclass(frozen=True)
class TeachConfig:
    """Who samples candidates, who writes targets, and which of either are kept.

    pool: candidates of a problem, gsr.k if null; sets_per_problem: sets of gsr.k that are drawn from them. tries: most
    targets that are sampled of one prompt until one is correct. keep: `correct` targets alone, or `all` that came to an
    end. refine_weight: share of refinement in the rows. thinking: whether the teacher's stays in a target. val_share:
    of the problems, for validation rows alone. prompts: what differs from gsr.prompts for the teacher. engine: where
    models without URLs run, `local` or over the nodes of a `ray` cluster, and there in how many `replicas` (None: as
    many as fit).
    """

    teacher: Literal["oracle", "llm"]
    problems: int | None
    pool: int | None
    sets_per_problem: int
    tries: int
    keep: Literal["correct", "all"]
    refine_weight: float
    thinking: Literal["keep", "drop"]
    val_share: float
    prompts: dict[str, Any]
    engine: Literal["local", "ray"]
    replicas: int | None
    student: Served
    llm: Llm

    def check(self, gsr: GsrConfig) -> None:
        """UsageError, naming the key, where values do not fit each other or `gsr`."""
        require(self.problems is None or self.problems >= 1, "teach.problems", self.problems, "null, or at least 1")
        check_sets(self.pool_size(gsr), gsr.k, self.sets_per_problem)
        require(self.tries >= 1, "teach.tries", self.tries, "at least 1")
        greedy = self.llm.temperature == 0 and self.tries > 1
        require(not greedy, "teach.llm.temperature", 0, f"above 0 with teach.tries={self.tries}: all would be the same")
        require(0 <= self.refine_weight <= 1, "teach.refine_weight", self.refine_weight, "a share from 0 to 1")
        require(0 <= self.val_share < 1, "teach.val_share", self.val_share, "a share from 0 to below 1")
        self.student.check("teach.student")
        self.llm.check("teach.llm")
        self.teacher_prompts(gsr)
        require(self.replicas is None or self.replicas >= 1, "teach.replicas", self.replicas, "null, or at least 1")
        if self.engine == "ray":
            for name, served in {"student": self.student, "llm": self.llm}.items():
                mend = "empty with teach.engine=ray, which runs the model itself; teach.engine=local asks servers"
                require(not served.urls, f"teach.{name}.urls", served.urls, mend)
        if self.teacher == "llm":
            mend = "the name of a model at teach.llm.urls, or without these a folder or hub name to be served here"
            require(bool(self.llm.model), "teach.llm.model", self.llm.model, mend)

    def pool_size(self, gsr: GsrConfig) -> int:
        return gsr.k if self.pool is None else self.pool

    def teacher_prompts(self, gsr: GsrConfig) -> PromptSet:
        values = {name: getattr(gsr.prompts, name) for name in PromptSet.__dataclass_fields__}
        try:
            return from_mapping(PromptSet, {**values, **self.prompts}, "teach.prompts")
        except UsageError as error:
            raise UsageError(str(error).replace("gsr.prompts", "teach.prompts")) from None


def check_sets(pool: int, k: int, sets: int) -> None:
    """UsageError unless a pool of that size has so many different sets of k."""
    require(pool >= k, "teach.pool", pool, f"at least gsr.k={k}")
    most = math.comb(pool, k)
    require(1 <= sets <= most, "teach.sets_per_problem", sets, f"from 1 to {most}, the sets of {k} among {pool}")
