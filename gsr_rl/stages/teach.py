"""Stage `teach`: SFT rows. Candidates by the student, targets by the teacher.

Paper (arXiv 2509.00084): a frozen student samples the candidates, a frozen teacher writes direct solutions (D_direct)
and refinements of those candidates (D_selfR); candidate sets in which all are wrong are kept.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from data_prep import pair_sums
from data_prep.problems import load_problems
from data_prep.rows import SftRow, oracle_rows, write_sft_rows
from data_prep.sft_rows import describe, write_sft_data
from gsr_rl.episode import Episode, Problem, read_episodes, write_episodes
from gsr_rl.files import replacing
from gsr_rl.generation.candidate_sets import draw_sets, show
from gsr_rl.generation.generate import usage
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import Plan, sample_pools
from gsr_rl.generation.roles import Role, access_to, backend_of, claim_weights, role_of
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.generation.tokenizers import load_tokenizer
from gsr_rl.prompts import PromptTooLong
from gsr_rl.settings.evaluation import Design
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.models import latest_model
from gsr_rl.stages.preflight import check_model, check_recipe, check_roles


def check(settings: Settings) -> None:
    """Everything about the stage that can be known before it starts; raises UsageError."""
    check_recipe(settings)
    check_model(settings, latest_model(settings, "warmup"))
    if not settings.folder.candidates.exists():
        check_roles(settings, [_student(settings)])
    check_teacher(settings)


def check_teacher(settings: Settings) -> None:
    """The teacher is where it should be; raises UsageError."""
    if settings.teach.teacher == "llm":
        check_roles(settings, [_llm(settings)])


def needs_device(settings: Settings) -> bool:
    """Whether the stage runs a model on this machine: not if all of its models are at URLs."""
    teach = settings.teach
    return not teach.student.urls or (teach.teacher == "llm" and not teach.llm.urls)


def direct(settings: Settings) -> None:
    """Write rows of D_direct alone, for `warmup`."""
    folder = settings.folder
    with Journal(folder.answers) as journal:
        rows, _ = _targets(settings, journal, load_problems(folder.problems("train")), [])
    write_sft_rows(folder.sft_rows("warmup"), rows)


def run(settings: Settings) -> None:
    """Write `<run_dir>/teach/{pool.jsonl,candidates.jsonl,summary.json,train.parquet}`.

    What is there already is taken: pools, candidate sets, and what models have answered (answers.jsonl).
    """
    teach, folder = settings.teach, settings.folder
    problems = load_problems(folder.problems("train"))
    with Journal(folder.answers) as journal:
        if not folder.candidates.exists():
            _draw_candidates(settings, journal, problems[: teach.problems])
        episodes = read_episodes(folder.candidates)
        # A kind of rows that the mix leaves out is neither made nor paid for.
        wanted = problems if teach.refine_weight < 1 else [], episodes if teach.refine_weight > 0 else []
        rows, outcomes = _targets(settings, journal, *wanted)
        roles = [_student(settings), *([_llm(settings)] if teach.teacher == "llm" else [])]
        used = usage(journal, {role.name: role.served for role in roles})
    all_wrong = sum(not any(candidate.correct for candidate in episode.candidates) for episode in episodes)
    pools = read_episodes(folder.pool) if folder.pool.exists() else episodes
    summary = {
        "candidate_sets": len(episodes),
        "all_wrong": all_wrong,
        "correct_of_pool": correct_of_pool(pools),
        "targets": outcomes,
        "usage": used,
    }
    with replacing(folder.teach_summary) as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n")
    statistics = _write_rows(settings, rows)
    print(f"gsr-rl teach: problems by number of correct candidates, from none to all: {summary['correct_of_pool']}")
    for kind, counts in outcomes.items():
        print(f"gsr-rl teach: {kind} targets: {', '.join(f'{n} {outcome}' for outcome, n in counts.items())}")
    for model, figures in used.items():
        print(f"gsr-rl teach: {model}: {', '.join(f'{value:,} {name}' for name, value in figures.items())}")
    print(
        f"{describe(statistics)}\ngsr-rl teach: rows by the {teach.teacher} teacher; in {all_wrong} of "
        f"{len(episodes)} candidate sets all were wrong; rows in {folder.sft_rows('sft')}"
    )


def correct_of_pool(pools: Sequence[Episode]) -> list[int]:
    """Number of problems of whose pool 0, 1, ... and all candidates are correct."""
    counts = [0] * (1 + max((len(pool.candidates) for pool in pools), default=0))
    for pool in pools:
        counts[sum(candidate.correct for candidate in pool.candidates)] += 1
    return counts


def _student(settings: Settings) -> Role:
    """The model that samples the candidates: by default the latest model of the chain."""
    student = settings.teach.student
    if not student.model:
        student = student.model_copy(update={"model": latest_model(settings, "warmup")})
    return role_of(settings, "teach.student", student)


def _llm(settings: Settings) -> Role:
    return role_of(settings, "teach.llm", settings.teach.llm)


def _write_rows(settings: Settings, rows: Sequence[SftRow]) -> dict[str, Any]:
    """Write the rows of SFT, counted as verl's trainer will see them; returns their statistics."""
    from gsr_rl.verl_plugin.sft_dataset import encode_row

    tokenizer = load_tokenizer(latest_model(settings, "warmup"))
    prompts, chat_kwargs = settings.gsr.prompts, settings.verl.chat_kwargs

    def lengths(row: SftRow) -> tuple[int, int]:
        prompt, response = encode_row(tokenizer, prompts, row.prompt, row.response, chat_kwargs)
        return len(prompt), len(response)

    return write_sft_data(
        settings.folder.sft_rows("sft"),
        [row for row in rows if row.kind == "direct"],
        [row for row in rows if row.kind == "refine"],
        lengths,
        refine_weight=settings.teach.refine_weight,
        max_length=settings.sft.data.max_length,
        val_share=settings.teach.val_share,
        seed=settings.gsr.seed,
    )


def _targets(
    settings: Settings, journal: Journal, problems: Sequence[Problem], episodes: Sequence[Episode]
) -> tuple[list[SftRow], Outcomes]:
    gsr, teach = settings.gsr, settings.teach
    if teach.teacher == "oracle":
        solve = {"one_try": pair_sums.solve, "check_pairs": pair_sums.solve_by_checks}[teach.direct_solutions]
        return oracle_rows(problems, episodes, gsr.prompts, solve), {}
    from gsr_rl.verl_plugin.reward import load_judge

    role = _llm(settings)
    claim_weights(journal, [role])
    longest = settings.verl.rollout.prompt_length + teach.llm.max_tokens
    with backend_of(settings, role, longest, settings.folder.stage("teach") / "llm.log") as backend:
        teacher = LlmTeacher(
            teach=teach,
            model=role.name,
            prompts=gsr.prompts,
            teacher_prompts=teach.teacher_prompts(gsr),
            run_seed=gsr.seed,
            judge=load_judge(settings, load_problems(settings.folder.problems("train"))),
            backend=backend,
        )
        return teacher.rows(journal, problems, episodes)


def _draw_candidates(settings: Settings, journal: Journal, problems: Sequence[Problem]) -> None:
    """Sample the pools, draw the sets from them, and write both."""
    gsr, teach, folder = settings.gsr, settings.teach, settings.folder
    if not folder.pool.exists():
        _sample_pools(settings, journal, problems)
    tokenizer = load_tokenizer(latest_model(settings, "warmup"))
    length, chat_kwargs = settings.verl.rollout.prompt_length, settings.verl.chat_kwargs
    too_long: list[str] = []

    def sets() -> Iterator[Episode]:
        for pool in read_episodes(folder.pool):
            for order in draw_sets(len(pool.candidates), gsr.k, teach.sets_per_problem, gsr.seed, pool.id):
                try:
                    yield show(pool, order, gsr.prompts, tokenizer, length, chat_kwargs)[0]
                except PromptTooLong:
                    too_long.append(pool.id)
                    break

    write_episodes(folder.candidates, sets())
    if too_long:
        left_out = f"{len(too_long)} problems leave no room for candidates, such as '{too_long[0]}'"
        print(f"gsr-rl teach: {left_out}; they have no refinement rows", flush=True)


def _sample_pools(settings: Settings, journal: Journal, problems: Sequence[Problem]) -> None:
    """Sample the pools from the student, with the sampling that candidates have everywhere outside of training."""
    from gsr_rl.verl_plugin.reward import load_judge

    role, folder, k = _student(settings), settings.folder, settings.gsr.k
    claim_weights(journal, [role])
    access = access_to(settings, role)
    design = Design([k], settings.teach.pool_size(k))
    plan = Plan(design=design, model=access, refiner=access, judge=load_judge(settings), seed=settings.gsr.seed)
    with backend_of(settings, role, settings.longest_request, folder.stage("teach") / "student.log") as backend:
        write_episodes(folder.pool, sample_pools(plan, backend, journal, problems))
