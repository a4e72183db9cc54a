"""The `gsr:` section: the algorithm of generative self-refinement. Everything else about training is verl's."""

from typing import Literal, Self

from pydantic import Field, model_validator

from gsr_rl.prompts import PromptSet
from gsr_rl.section import Section, require_field


class Sampling(Section):
    """Sampling of one stage in validation and evaluation, where each stage has its own (in training verl has one)."""

    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature; at 0 all candidates would be the same."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability mass that tokens are drawn from; 1 for all of it."""
    top_k: int = -1
    """Number of most probable tokens that are drawn from; -1 for all."""

    @model_validator(mode="after")
    def _check_top_k(self) -> Self:
        require_field(self.top_k == -1 or self.top_k >= 1, "top_k", self.top_k, "-1 (all) or at least 1")
        return self


class Validation(Section):
    """How many refinements are sampled outside of training, and the sampling of each stage there."""

    m: int = Field(default=1, ge=1)
    """Refinements of a candidate set in validation and `eval`; `gsr.m` is for training."""
    candidate: Sampling = Sampling()
    """Sampling of candidates."""
    refinement: Sampling = Sampling()
    """Sampling of refinements."""


class SyncGuard(Section):
    """Limits beyond which rollout and actor no longer hold the same weights."""

    min_correlation: float = Field(default=0.95, ge=-1, lt=1)
    """Least correlation of rollout and actor probabilities; training stops below it."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Deadline of one weight sync, in seconds."""


class Gsr(Section):
    """GSR's own settings (Wang et al. 2025, arXiv 2509.00084, section 3).

    The loss is (1 - λ) · mean over candidate tokens + λ · mean over refinement tokens, with λ = `refine_weight`.
    """

    k: int = Field(default=4, ge=1)
    """K: candidates sampled for a prompt."""
    m: int = Field(default=2, ge=1)
    """M: refinements sampled for a candidate set in training."""
    refine_weight: float = Field(default=0.5, ge=0, le=1)
    """λ: weight of the refinements in the RL loss, and in the SFT rows unless `teach.refine_weight` says otherwise."""
    selection: Literal["all", "hard_first"] = "all"
    """Which candidate sets are refined in training: `all`, or `hard_first`: each set whose vote is more often wrong \
than right, and any other set with probability `gsr.easy_probability` (after AggLM, arXiv 2509.06870)."""
    easy_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability with which `hard_first` refines a set whose vote is not more often wrong than right."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of everything that is drawn except the problems: sampling, order of rows and candidates, selection."""
    candidate_tokens: int = Field(default=512, ge=1)
    """Most tokens of a candidate."""
    refinement_tokens: int = Field(default=512, ge=1)
    """Most tokens of a refinement."""
    score_cut_off: bool = False
    """Whether a training response that the token limit cut off keeps a score above 0. By default it scores 0, \
whatever its answer. Otherwise nothing rewards the end of a response whose answer comes first, and GRPO makes the \
model ramble. `correct`, and with it validation, follows the judge in any case."""
    validation: Validation = Validation()
    """Sampling outside of training."""
    sync_guard: SyncGuard = SyncGuard()
    """Limits of the guard over the weight sync."""
    prompts: PromptSet = PromptSet()
    """Templates of both stages."""

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        alone = "(a GRPO group of one has no baseline)"
        if self.refine_weight < 1:
            require_field(self.k >= 2, "k", self.k, f"at least 2 where gsr.refine_weight < 1 {alone}")
        if self.refine_weight > 0:
            require_field(self.m >= 2, "m", self.m, f"at least 2 where gsr.refine_weight > 0 {alone}")
        return self

    @property
    def max_response_tokens(self) -> int:
        """Most tokens of a response of either stage."""
        return max(self.candidate_tokens, self.refinement_tokens)

    @property
    def training_m(self) -> int:
        """Refinements of a candidate set in training: none where they have no weight in the loss."""
        return self.m if self.refine_weight > 0 else 0
