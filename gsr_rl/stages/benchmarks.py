"""Stage `eval` on benchmarks: candidates and refinements through OpenAI-compatible servers, and their figures."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data_prep.hub import NAMES, load_set
from data_prep.problems import load_problems
from gsr_rl.episode import Episode, Problem, read_episodes, write_episodes
from gsr_rl.errors import UsageError, require
from gsr_rl.files import replacing
from gsr_rl.generation.generate import Ask, for_all
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import Asked, Item, Plan
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.scores import Scorer, at_root
from gsr_rl.generation.serve import at_urls
from gsr_rl.generation.servers import answer_in
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.metrics.gap import MACRO
from gsr_rl.settings.compose import rl_config
from gsr_rl.settings.evaluation import OF_THE_CHAIN, Role, Roles, check_benchmarks, eval_config, roles, short_name
from gsr_rl.settings.gsr import Sampling
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.settings.sections import engine_arguments, gsr_config, sampling_parameters
from gsr_rl.stages.eval_table import table
from gsr_rl.stages.preflight import check_prompts, load_tokenizer
from rewards.pool import shared

Work = Callable[[Ask, Item], Awaitable[None]]


def run(config: DictConfig) -> None:
    """Write `<run_dir>/episodes/<name>.jsonl` and `<name>.metrics.json`; of a sweep `<name>-k<K>` for each K.

    What models answered is in `<run_dir>/eval/<model>.answers.jsonl`, and not asked for again.

    Raises:
        UsageError: before anything starts, a benchmark, key or model that cannot be used; later a server that ends,
            or a disk that is full: what was answered stays.
    """
    section, asked, folder = eval_config(config), roles(config), RunFolder.of(config)
    name = section.name or asked.title
    mend = "another name: the chain takes an evaluation of this one for its own"
    require(name not in OF_THE_CHAIN, "eval.name", name, mend)
    benchmarks = load_benchmarks(check_benchmarks(config.benchmarks), config.problems.mirror)
    items = items_of(benchmarks, section.repeats, 0 if section.population else section.swapped)
    plan = plan_of(config, asked, [one.problem for problems in benchmarks for one in problems])
    shared.wall_seconds = 120.0  # a busy machine makes no answer wrong; processor time is limited all the same
    with Journal(folder.stage("eval") / f"{short_name(asked.model.name)}.answers.jsonl") as journal:
        claim_weights(journal, asked)
        plan = generate(config, asked, plan, journal, items)
        figures: list[dict[str, Any]] = []
        for k in plan.design.sizes:
            path = folder.episodes(f"{name}-k{k}" if section.sweep else name)
            write_episodes(path, _episodes(plan, journal, items, k))
            figures.append(evaluate(read_episodes(path)))
            with replacing(path.with_suffix(".metrics.json")) as temporary:
                temporary.write_text(json.dumps(figures[-1], indent=1, allow_nan=False) + "\n")
            print(f"gsr-rl eval: episodes in {path}, figures in {path.with_suffix('.metrics.json')}")
    with replacing(folder.episodes(name).with_suffix(".config.yaml")) as temporary:
        OmegaConf.save(rl_config(config), temporary, resolve=True)
    print(table(figures))


def load_benchmarks(names: Sequence[str], mirror: str | None) -> list[list[Problem]]:
    """The problems of each benchmark.

    Raises:
        UsageError: one cannot be had or read, a row of a file has no id, problem or gold answer, or two benchmarks
            have a dataset of one name.
    """
    benchmarks: list[list[Problem]] = []
    origin: dict[str, str] = {}
    for name in names:
        if name in NAMES:
            loaded = load_set(name, mirror=mirror)
            problems = loaded.problems
            if loaded.left_out:
                left_out = ", ".join(f"{n} {why}" for why, n in loaded.left_out.items())
                print(f"gsr-rl eval: of {loaded.rows} rows of {name} are left out: {left_out}")
        else:
            problems = load_problems(name)
        for dataset in dict.fromkeys(one.dataset for one in problems):
            if dataset == MACRO:
                raise UsageError(f'{name}: "{MACRO}" is the name of the mean over datasets; rename the dataset')
            if (first := origin.setdefault(dataset, name)) != name:
                mend = 'give the rows of one file another "dataset"'
                raise UsageError(f"benchmarks: {first} and {name} are both called {dataset}; {mend}")
        benchmarks.append(problems)
    return benchmarks


def items_of(benchmarks: Sequence[Sequence[Problem]], repeats: int, swapped: int) -> list[Item]:
    """What is to be done: each problem as often as it is repeated. Of each benchmark the first `swapped` problems have
    the control, each with the candidates of the next of them, in their first repeat."""
    items: list[Item] = []
    for problems in benchmarks:
        n = min(swapped, len(problems))
        for i, problem in enumerate(problems):
            other = problems[(i + 1) % n] if i < n > 1 else None
            items += [Item(problem, repeat, None if repeat else other) for repeat in range(repeats)]
    return items


def plan_of(config: DictConfig, asked: Roles, problems: Sequence[str]) -> Plan:
    """What is asked of whom for a problem.

    Raises:
        UsageError: a tokenizer cannot be read, or a problem does not leave candidates room in the prompt.
    """
    from gsr_rl.verl_plugin.reward import load_judge

    gsr = gsr_config(config)
    design = eval_config(config).design(gsr)
    refiner = _asked(config, asked.refiner, config.tokenizer)
    model = refiner if asked.refiner == asked.model else _asked(config, asked.model, None)
    mend = "null: the model that refines is not at a URL, and has its own"
    require(config.tokenizer is None or asked.refiner.is_remote, "tokenizer", config.tokenizer, mend)
    if refiner.tokenizer is None:
        print("gsr-rl eval: without tokenizer= the refiner is shown its candidates whole, however long they are")
    for one in [refiner] if model is refiner else [model, refiner]:
        if one.tokenizer is not None:
            largest = replace(gsr, k=max(design.sizes))
            check_prompts(largest, one.tokenizer, one.max_tokens, dict(one.chat_kwargs), problems)
    return Plan(design, model, refiner, load_judge(config), gsr.seed)


def _asked(config: DictConfig, role: Role, tokenizer: str | None) -> Asked:
    gsr, chat_kwargs = gsr_config(config), dict(config.data.apply_chat_template_kwargs)
    if role.is_remote:
        print(f"gsr-rl eval: {role.name} gets chat messages, and the chat template is that of {role.served.urls[0]}")
    else:
        tokenizer = str(role.served.model)

    def parameters(sampling: Sampling, max_tokens: int) -> dict[str, Any]:
        template = chat_kwargs if role.is_remote else {}
        return {**sampling_parameters(sampling, max_tokens, template), **role.served.extra_body}

    return Asked(
        role.name,
        gsr.prompts,
        load_tokenizer(tokenizer) if tokenizer else None,
        not role.is_remote,
        int(config.actor_rollout_ref.rollout.prompt_length),
        chat_kwargs,
        parameters(gsr.validation.candidate, gsr.candidate_tokens),
        parameters(gsr.validation.refinement, gsr.refinement_tokens),
    )


def claim_weights(journal: Journal, asked: Roles) -> None:
    """Answers belong to the weights that gave them, of which a name does not tell.

    Raises:
        UsageError: those of a model of this name are others now.
    """
    for role in asked.all():
        key, weights = f"weights of {role.name}", _weights(role)
        if key not in journal:
            journal.write([(key, {"weights": weights})])
        elif journal[key]["weights"] != weights:
            mend = f"remove {journal.path}, or choose another run_dir"
            raise UsageError(f"{role.served.model}: not the model called {role.name} that was evaluated here; {mend}")


def _weights(role: Role) -> str:
    """Of a folder a hash of its files' names, sizes and times; of another model where it comes from."""
    folder = Path(str(role.served.model))
    if role.is_remote or not folder.is_dir():
        return "served elsewhere" if role.is_remote else str(role.served.model)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def generate(config: DictConfig, asked: Roles, plan: Plan, journal: Journal, items: Sequence[Item]) -> Plan:
    """Ask for all that is owed, one model after the other; returns the plan by which the episodes can be made."""
    if asked.refiner == asked.model:
        _ask(config, asked.model, journal, items, plan.generate, "eval")
    else:
        _ask(config, asked.model, journal, items, plan.sample, "eval: candidates")
        _ask(config, asked.refiner, journal, items, plan.generate, "eval: refinements")
    if (scoring := asked.reward_model) is not None:
        scorer = Scorer(scoring.name, gsr_config(config).prompts, scoring.served.extra_body)
        plan = replace(plan, scorer=scorer)
        _ask(config, scoring, journal, items, plan.sample, "eval: scores")
    return plan


def _ask(config: DictConfig, role: Role, journal: Journal, items: Sequence[Item], work: Work, what: str) -> None:
    with asyncio.Runner() as runner:
        owed = [item for item in items if not _is_there(runner, journal, item, work)]
    done = len(items) - len(owed)
    print(f"gsr-rl {what}: {len(items)} problems with their repeats, {done} of them are there already", flush=True)
    if not owed:
        return
    gsr, rollout = gsr_config(config), config.actor_rollout_ref.rollout
    engine = engine_arguments(config, int(rollout.prompt_length) + gsr.max_response_tokens)
    log = RunFolder.of(config).stage("eval") / f"{short_name(role.name)}.log"
    with at_urls(role.served, engine, log) as served:
        served = at_root(served) if role.key == "eval.reward_model" else served
        for_all(served, journal, owed, work, what=what, total=len(owed))


def _is_there(runner: asyncio.Runner, journal: Journal, item: Item, work: Work) -> bool:
    async def play() -> None:
        await work(from_journal(journal), item)

    try:
        runner.run(play())
    except KeyError:
        return False
    return True


def from_journal(journal: Journal) -> Ask:
    """Answers that are there; KeyError for one that is not."""

    async def ask(request: Request) -> Answer:
        return answer_in(journal, request.key)

    return ask


def _episodes(plan: Plan, journal: Journal, items: Sequence[Item], k: int) -> Iterator[Episode]:
    with asyncio.Runner() as runner:
        for item in items:
            yield from runner.run(plan.episodes(from_journal(journal), item, k))
