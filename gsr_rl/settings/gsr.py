"""The `gsr:` section of a recipe, and the checks that stop a bad configuration before Ray starts."""

import difflib
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gsr_rl.errors import UsageError, require
from gsr_rl.prompts import PromptSet

T = TypeVar("T")


@dataclass(frozen=True)
class Sampling:
    """Sampling of one stage in validation and evaluation, where it is free (in training verl has one temperature)."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1


@dataclass(frozen=True)
class Validation:
    """m refinements of every candidate set, each stage with its own sampling."""

    m: int = 1
    candidate: Sampling = field(default_factory=Sampling)
    refinement: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True)
class SyncGuard:
    """Limits beyond which rollout and actor no longer hold the same weights (`min_correlation` of their probs)."""

    min_correlation: float = 0.95
    timeout_s: float = 600.0


@dataclass(frozen=True)
class GsrConfig:
    """GSR's own settings; everything else is verl's.

    k candidates and m refinements a prompt; refine_weight is the paper's λ (Wang et al. 2025, section 3: 0.5):
    L = (1 - λ) mean over candidate tokens + λ mean over refinement tokens. candidate_tokens and refinement_tokens
    bound a response of each stage. selection: which candidate sets go on to refinement in training. score_cut_off:
    whether a response that has not ended within its bound keeps a score above 0 in training. Where the answer comes
    first, as in short responses, nothing else rewards the end, and a model unlearns it.
    """

    k: int = 4
    m: int = 2
    refine_weight: float = 0.5
    selection: Literal["all", "hard_first"] = "all"
    easy_probability: float = 0.5
    seed: int = 0
    candidate_tokens: int = 512
    refinement_tokens: int = 512
    score_cut_off: bool = False
    validation: Validation = field(default_factory=Validation)
    sync_guard: SyncGuard = field(default_factory=SyncGuard)
    prompts: PromptSet = field(default_factory=PromptSet)

    def __post_init__(self) -> None:
        require(0.0 <= self.refine_weight <= 1.0, "gsr.refine_weight", self.refine_weight, "a number from 0 to 1")
        require(self.k >= 1, "gsr.k", self.k, "at least 1")
        if self.refine_weight < 1:
            require(self.k >= 2, "gsr.k", self.k, "at least 2 where gsr.refine_weight < 1 (a GRPO group of one)")
        if self.refine_weight > 0:
            require(self.m >= 2, "gsr.m", self.m, "at least 2 where gsr.refine_weight > 0 (a GRPO group of one)")
        require(self.m >= 1, "gsr.m", self.m, "at least 1")
        require(0.0 <= self.easy_probability <= 1.0, "gsr.easy_probability", self.easy_probability, "from 0 to 1")
        require(self.candidate_tokens >= 1, "gsr.candidate_tokens", self.candidate_tokens, "at least 1")
        require(self.refinement_tokens >= 1, "gsr.refinement_tokens", self.refinement_tokens, "at least 1")
        require(self.validation.m >= 1, "gsr.validation.m", self.validation.m, "at least 1")
        for stage in ("candidate", "refinement"):
            sampling: Sampling = getattr(self.validation, stage)
            key = f"gsr.validation.{stage}"
            mend = "above 0 (at 0 all candidates are the same)"
            require(sampling.temperature > 0, f"{key}.temperature", sampling.temperature, mend)
            require(0 < sampling.top_p <= 1, f"{key}.top_p", sampling.top_p, "above 0 and at most 1")
            require(sampling.top_k == -1 or sampling.top_k >= 1, f"{key}.top_k", sampling.top_k, "-1 (all) or from 1")
        guard, key = self.sync_guard, "gsr.sync_guard"
        require(-1 <= guard.min_correlation < 1, f"{key}.min_correlation", guard.min_correlation, "from -1 to below 1")
        require(guard.timeout_s > 0, f"{key}.timeout_s", guard.timeout_s, "above 0 seconds")

    @property
    def max_response_tokens(self) -> int:
        return max(self.candidate_tokens, self.refinement_tokens)

    @property
    def training_m(self) -> int:
        """Refinements of a candidate set in training: none where they have no weight in the loss."""
        return self.m if self.refine_weight > 0 else 0


@dataclass(frozen=True)
class Columns:
    """What the columns of a problem file are called."""

    id: str
    problem: str
    answer: str


@dataclass(frozen=True)
class PassRates:
    """Which training problems stay, by the student's own pass rate; those that it was not asked: `keep` or `drop`."""

    min: float
    max: float
    unsampled: Literal["keep", "drop"]


@dataclass(frozen=True)
class ProblemsConfig:
    """The `problems:` section: where the problems come from, what is dropped, and how the rest is split."""

    source: str
    columns: Columns
    revision: str | None
    mirror: str | None
    numbers: int
    largest: int
    people: list[int]
    decontaminate: list[str]
    min_overlap: float
    difficulty: str | None
    pass_rate: PassRates
    train: int
    dev: int
    held_out: int
    seed: int

    def __post_init__(self) -> None:
        for split in ("train", "dev", "held_out"):
            require(getattr(self, split) >= 1, f"problems.{split}", getattr(self, split), "at least 1")
        sizes = self.people and all(isinstance(one, int) and 2 <= one <= 8 for one in self.people)
        require(bool(sizes), "problems.people", self.people, "a list of whole numbers from 2 to 8")
        commit = self.revision is None or re.fullmatch("[0-9a-f]{40}", self.revision)
        mend = "a commit of 40 hexadecimal digits: a branch may change from one run to the next"
        require(bool(commit), "problems.revision", self.revision, mend)
        both = self.revision is not None and self.mirror is not None
        require(not both, "problems.revision", self.revision, "null where problems.mirror says which files are read")
        named = all(isinstance(one, str) for one in self.decontaminate)
        require(named, "problems.decontaminate", self.decontaminate, "a list of files and set names")
        require(0 <= self.min_overlap <= 1, "problems.min_overlap", self.min_overlap, "a share from 0 to 1")
        rate, key = self.pass_rate, "problems.pass_rate"
        require(
            0 <= rate.min <= rate.max <= 1, f"{key}.min", rate.min, f"from 0 to {key}.max={rate.max}, and that to 1"
        )
        filtered = rate.min > 0 or rate.max < 1 or rate.unsampled == "drop"
        mend = "a file of episodes, for problems.pass_rate to filter by"
        require(self.difficulty is not None or not filtered, "problems.difficulty", self.difficulty, mend)


def from_mapping(cls: type[T], values: Mapping[str, Any], prefix: str) -> T:
    """Build a (nested) dataclass; an unknown key or a value of the wrong type is a UsageError that names it."""
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # pyright: ignore[reportArgumentType]
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {prefix}.{close[0]}?" if close else f"{prefix} has: {', '.join(known)}"
            raise UsageError(f"{prefix}.{key}: no such key; {hint}")
        built[key] = _typed(hints[key], value, f"{prefix}.{key}")
    for name, one in known.items():
        if name not in built and one.default is MISSING and one.default_factory is MISSING:
            raise UsageError(f"{prefix}.{name}: missing; set it in the recipe")
    return cls(**built)


def _typed(hint: Any, value: Any, key: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return None if value is None else _typed(next(a for a in get_args(hint) if a is not type(None)), value, key)
    if is_dataclass(hint):
        require(isinstance(value, Mapping), key, value, "a section with keys of its own")
        return from_mapping(hint, value, key)  # pyright: ignore[reportArgumentType]
    if (origin := get_origin(hint)) in (list, dict):
        require(isinstance(value, origin), key, value, f"a {origin.__name__}")
        return value
    if get_origin(hint) is Literal:
        require(value in get_args(hint), key, value, "one of " + ", ".join(get_args(hint)))
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    right_type = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    require(right_type, key, repr(value), f"of type {hint.__name__}")
    return value


def check_training(config: Mapping[str, Any]) -> GsrConfig:
    """The `gsr:` section of a composed verl configuration, checked together with the verl keys that it leans on.

    Raises:
        UsageError: one line that names the key, what is wrong and the mend.
    """
    gsr = from_mapping(GsrConfig, config["gsr"], "gsr")
    actor, rollout = config["actor_rollout_ref"]["actor"], config["actor_rollout_ref"]["rollout"]
    at = "actor_rollout_ref.rollout"
    one_temperature = "verl recomputes log-probs with one temperature and the whole distribution"
    require(rollout["temperature"] > 0, f"{at}.temperature", rollout["temperature"], "above 0 in training")
    require(rollout["top_p"] == 1, f"{at}.top_p", rollout["top_p"], f"1 in training: {one_temperature}")
    require(rollout["top_k"] == -1, f"{at}.top_k", rollout["top_k"], f"-1 in training: {one_temperature}")
    require(rollout["n"] == 1, f"{at}.n", rollout["n"], "1: gsr.k and gsr.m say how many responses a prompt gets")
    require(rollout["val_kwargs"]["n"] >= 1, f"{at}.val_kwargs.n", rollout["val_kwargs"]["n"], "at least 1")
    require(rollout["calculate_log_probs"], f"{at}.calculate_log_probs", False, "True: the sync guard compares them")
    trainer = config["trainer"]
    mode = trainer["v1"]["trainer_mode"]
    async_mend = "gsr: verl's other modes (async ones too) have not been proved with two-stage rollouts"
    require(mode == "gsr", "trainer.v1.trainer_mode", mode, async_mend)
    require(trainer["use_v1"], "trainer.use_v1", trainer["use_v1"], "True: verl's V0 trainer has no two-stage rows")
    algorithm = config["algorithm"]
    filters = (algorithm.get("filter_groups") or {}).get("enable", False)
    require(not filters, "algorithm.filter_groups.enable", filters, "False: it pools both stages; use gsr.selection")
    bypass = (algorithm.get("rollout_correction") or {}).get("bypass_mode", False)
    require(not bypass, "algorithm.rollout_correction.bypass_mode", bypass, "False: the sync guard needs old log-probs")
    reward_model = config["reward"]["reward_model"]
    colocated = reward_model["enable"] and not reward_model["enable_resource_pool"]
    mend = "used with reward.reward_model.enable_resource_pool=True: candidates are judged before refinement"
    require(not colocated, "reward.reward_model.enable", True, mend)
    require(not actor["shuffle"], "actor_rollout_ref.actor.shuffle", actor["shuffle"], "False: rows are dealt evenly")
    _check_batches(config["data"], actor)
    _check_budgets(gsr, rollout, actor)
    return gsr


def _check_batches(data: Mapping[str, Any], actor: Mapping[str, Any]) -> None:
    batch, mini = data["train_batch_size"], actor["ppo_mini_batch_size"]
    key = "actor_rollout_ref.actor.ppo_mini_batch_size"
    require(0 < mini <= batch and batch % mini == 0, key, mini, f"a divisor of data.train_batch_size={batch} (prompts)")


def _check_budgets(gsr: GsrConfig, rollout: Mapping[str, Any], actor: Mapping[str, Any]) -> None:
    at = "actor_rollout_ref.rollout"
    longest = gsr.max_response_tokens
    mend = f"at least {longest}, the larger of gsr.candidate_tokens and gsr.refinement_tokens"
    require(rollout["response_length"] >= longest, f"{at}.response_length", rollout["response_length"], mend)
    row = rollout["prompt_length"] + longest
    max_model_len = rollout["max_model_len"]
    if max_model_len is not None:
        mend = f"at least {row} = {at}.prompt_length + the longest response"
        require(max_model_len >= row, f"{at}.max_model_len", max_model_len, mend)
    if actor["use_dynamic_bsz"]:
        per_gpu = actor["ppo_max_token_len_per_gpu"]
        mend = f"at least {row}, the longest row"
        require(per_gpu >= row, "actor_rollout_ref.actor.ppo_max_token_len_per_gpu", per_gpu, mend)
