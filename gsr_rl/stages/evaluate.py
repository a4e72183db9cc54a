"""Stage `eval`: candidates and refinements of a model on the run's own problems or on benchmarks, and their figures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_prep.benchmarks import check_benchmarks, load_benchmarks
from data_prep.problems import load_problems
from gsr_rl.episode import CHAIN_MODELS, Problem, read_episodes, write_episodes
from gsr_rl.errors import UsageError, require
from gsr_rl.files import replacing
from gsr_rl.generation.generate import Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import Plan, PlanItem, missing, plan_items, planned_episodes
from gsr_rl.generation.roles import Role, access_to, backend_of, claim_weights, role_of, short_name
from gsr_rl.generation.scores import Scorer
from gsr_rl.generation.tokenizers import check_prompts, load_tokenizer
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.settings.compose import resolved_config, save_config
from gsr_rl.settings.evaluation import is_url
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.eval_table import table
from gsr_rl.stages.models import base_model
from gsr_rl.stages.preflight import check_access, check_recipe, check_reward_function, check_roles


@dataclass(frozen=True)
class Roles:
    """Who samples the candidates, who refines them (the same model, or another), who scores them (perhaps nobody)."""

    model: Role
    refiner: Role
    reward_model: Role | None

    def all(self) -> list[Role]:
        """Each role once."""
        others = [role for role in (self.refiner, self.reward_model) if role is not None and role != self.model]
        return [self.model, *others]

    @property
    def title(self) -> str:
        """A name for the files of the evaluation."""
        name = short_name(self.model.name)
        return name if self.refiner == self.model else f"{name}-by-{short_name(self.refiner.name)}"


def roles_of(settings: Settings) -> Roles:
    """The models of the evaluation."""
    section = settings.eval
    if is_url(section.model):
        server = section.server.model_copy(update={"urls": [section.model]})
    elif section.server.urls:
        server = section.server
    else:
        server = section.server.model_copy(update={"model": section.model or base_model(settings)})
    model = role_of(settings, "eval.server", server)
    pooling = {"runner": "pooling", **section.reward_model.engine}
    reward_model = section.reward_model.model_copy(update={"engine": pooling})
    refiner = _other(settings, "eval.refiner", section.refiner)
    return Roles(model, refiner or model, _other(settings, "eval.reward_model", reward_model))


def _other(settings: Settings, key: str, served: Served) -> Role | None:
    return role_of(settings, key, served) if served.model else None


def check(settings: Settings) -> None:
    """The benchmarks and the models are there. The stage itself checks the problems, before a model starts.

    Raises:
        UsageError: names the benchmark, URL or model, and what is wrong with it.
    """
    if settings.eval.benchmarks is None:
        check_recipe(settings)
    else:
        check_benchmarks(settings.eval.benchmarks)
        check_reward_function(settings)
    roles = roles_of(settings)
    name = settings.eval.name or roles.title
    is_chain_s = settings.eval.benchmarks is None and settings.eval.name is not None
    hint = "another name: the chain takes an evaluation of this name for its own"
    require(is_chain_s or name not in CHAIN_MODELS, "eval.name", name, hint)
    check_roles(settings, [role for role in roles.all() if role != roles.reward_model])
    if roles.reward_model is not None:  # by a server, whatever the backend is
        check_access(roles.reward_model)
    if settings.eval.tokenizer is not None:
        load_tokenizer(settings.eval.tokenizer)
    path = settings.folder.problems(settings.eval.split)
    if settings.eval.benchmarks is None and not path.is_file():
        raise UsageError(f"{path}: no such file; `gsr-rl data` with this run_dir makes it, or set eval.benchmarks")


def needs_device(settings: Settings) -> bool:
    """Whether the stage runs a model on this machine: not if all of its models are at URLs."""
    section = settings.eval
    others = [served for served in (section.refiner, section.reward_model) if served.model]
    is_remote = is_url(section.model) or bool(section.server.urls)
    return not (is_remote and all(served.urls for served in others))


def run(settings: Settings) -> None:
    """Write `<run_dir>/episodes/<name>.jsonl` and `<name>.metrics.json`; a sweep writes `<name>-k<K>` for each K.

    What models answered is in `<run_dir>/eval/<model>.answers.jsonl`, and not asked for again.

    Raises:
        UsageError: before a model starts, a benchmark or problem that cannot be used; later a server that ends, or a
            full disk: what was answered stays.
    """
    roles, folder, section = roles_of(settings), settings.folder, settings.eval
    name = section.name or roles.title
    benchmarks = _problems(settings)
    swapped = 0 if section.population else section.swapped
    items = [item for problems in benchmarks for item in plan_items(problems, section.repeats, swapped)]
    plan = plan_of(settings, roles, [problem.problem for problems in benchmarks for problem in problems])
    figures: list[dict[str, Any]] = []
    with Journal(folder.eval_answers(short_name(roles.model.name))) as journal:
        claim_weights(journal, roles.all())
        plan = _generate(settings, roles, plan, journal, items)
        for k in plan.design.sizes:
            path = folder.episodes(f"{name}-k{k}" if section.sweep else name)
            write_episodes(path, planned_episodes(plan, journal, items, k))
            figures.append(evaluate(read_episodes(path)))
            with replacing(path.with_suffix(".metrics.json")) as temporary:
                temporary.write_text(json.dumps(figures[-1], indent=1, allow_nan=False) + "\n")
            print(f"gsr-rl eval: episodes in {path}, figures in {path.with_suffix('.metrics.json')}")
    save_config(resolved_config(settings), folder.episodes(name).with_suffix(".config.yaml"))
    print(table(figures))


def _problems(settings: Settings) -> list[list[Problem]]:
    """The problems of each benchmark, or of the run's own split."""
    if settings.eval.benchmarks is None:
        return [load_problems(settings.folder.problems(settings.eval.split))]
    return load_benchmarks(settings.eval.benchmarks, settings.problems.mirror)


def plan_of(settings: Settings, roles: Roles, problems: Sequence[str]) -> Plan:
    """The plan of what is asked of whom for a problem.

    Raises:
        UsageError: a tokenizer cannot be read, or a problem does not leave candidates room in the prompt.
    """
    from gsr_rl.verl_plugin.reward import load_judge

    gsr, design = settings.gsr, settings.design
    refiner = access_to(settings, roles.refiner, settings.eval.tokenizer)
    model = refiner if roles.refiner == roles.model else access_to(settings, roles.model)
    for role in roles.all():
        if role.is_remote and role != roles.reward_model:
            print(f"gsr-rl eval: {role.name} gets chat messages; {role.served.urls[0]} applies its chat template")
    if refiner.tokenizer is None:
        print("gsr-rl eval: without eval.tokenizer the refiner sees its candidates whole, however long they are")
    for access in [refiner] if model is refiner else [model, refiner]:
        if access.tokenizer is not None:
            kwargs = dict(access.chat_kwargs)
            check_prompts(gsr, access.tokenizer, access.max_tokens, kwargs, problems, max(design.sizes))
    return Plan(design=design, model=model, refiner=refiner, judge=load_judge(settings), seed=gsr.seed)


def _generate(settings: Settings, roles: Roles, plan: Plan, journal: Journal, items: Sequence[PlanItem]) -> Plan:
    """Ask for everything that is missing, one model after the other; returns the plan that makes the episodes."""
    if roles.refiner == roles.model:
        _ask(settings, roles.model, journal, items, plan.generate, "eval")
    else:
        _ask(settings, roles.model, journal, items, plan.sample, "eval: candidates")
        _ask(settings, roles.refiner, journal, items, plan.generate, "eval: refinements")
    if (scoring := roles.reward_model) is not None:
        plan = replace(plan, scorer=Scorer(scoring.name, settings.gsr.prompts, scoring.served.extra_body))
        _ask(settings, scoring, journal, items, plan.sample, "eval: scores", pooling=True)
    return plan


def _ask(
    settings: Settings,
    role: Role,
    journal: Journal,
    items: Sequence[PlanItem],
    work: Any,
    what: str,
    pooling: bool = False,
) -> None:
    pending = missing(journal, items, work)
    done = len(items) - len(pending)
    print(f"gsr-rl {what}: {len(items)} problems with their repeats, {done} of them are done already", flush=True)
    if pending:
        log = settings.folder.stage("eval") / f"{short_name(role.name)}.log"
        with backend_of(settings, role, settings.longest_request, log, pooling=pooling) as backend:
            backend(journal, Job(what, pending, work, len(pending)))
