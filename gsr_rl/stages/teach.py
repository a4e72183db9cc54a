"""Stage `teach`: SFT rows. Candidates by the student, targets by the teacher.

Paper (arXiv 2509.00084): a frozen student samples the candidates, a frozen teacher writes direct solutions (D_direct)
and refinements of those candidates (D_selfR); candidate sets in which all are wrong are kept.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from omegaconf import DictConfig

from data_prep.problems import load_problems
from data_prep.rows import SftRow, oracle_rows, write_sft_rows
from data_prep.sft_rows import describe, write_sft_data
from gsr_rl.episode import Episode, Problem, read_episodes, write_episodes
from gsr_rl.files import replacing
from gsr_rl.generation.candidates import CandidatePrompt, difficulty, draw_sets, sample_pools, show
from gsr_rl.generation.generate import ForAll, for_all, usage
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.rounds import in_rounds
from gsr_rl.generation.serve import at_urls
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptTooLong
from gsr_rl.settings.run_folder import RunFolder, latest_model
from gsr_rl.settings.sections import engine_arguments, gsr_config, sampling_parameters, student_of, teach_config
from gsr_rl.settings.served import Served
from gsr_rl.stages.preflight import load_tokenizer


def direct(config: DictConfig) -> None:
    """Rows of D_direct alone, for `warmup`."""
    folder = RunFolder.of(config)
    with Journal(folder.answers) as journal:
        rows, _ = _targets(config, journal, load_problems(folder.problems("train")), [])
    write_sft_rows(folder.sft_rows("warmup"), rows)


def run(config: DictConfig) -> None:
    """Write `<run_dir>/teach/{pool.jsonl,candidates.jsonl,summary.json,train.parquet}`.

    What is there already is taken: pools, candidate sets, and what endpoints have answered (answers.jsonl).
    """
    teach, folder = teach_config(config), RunFolder.of(config)
    problems = load_problems(folder.problems("train"))
    with Journal(folder.answers) as journal:
        if not folder.candidates.exists():
            _draw_candidates(config, journal, problems[: config.teach.problems])
        episodes = read_episodes(folder.candidates)
        # A kind that the mix leaves out is not made, nor paid for.
        wanted = problems if teach.refine_weight < 1 else [], episodes if teach.refine_weight > 0 else []
        rows, outcomes = _targets(config, journal, *wanted)
        used = usage(journal, [student_of(config), teach.llm])
    all_wrong = sum(not any(one.correct for one in episode.candidates) for episode in episodes)
    pools = read_episodes(folder.pool) if folder.pool.exists() else episodes
    summary = {
        "candidate_sets": len(episodes),
        "all_wrong": all_wrong,
        "correct_of_pool": difficulty(pools),
        "targets": outcomes,
        "usage": used,
    }
    with replacing(folder.teach_summary) as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n")
    statistics = _write_rows(config, rows)
    print(f"gsr-rl teach: problems by their correct candidates, from none to all: {summary['correct_of_pool']}")
    for kind, counts in outcomes.items():
        print(f"gsr-rl teach: {kind} targets: {', '.join(f'{n} {outcome}' for outcome, n in counts.items())}")
    for model, figures in used.items():
        print(f"gsr-rl teach: {model}: {', '.join(f'{value:,} {name}' for name, value in figures.items())}")
    print(
        f"{describe(statistics)}\ngsr-rl teach: rows by the {config.teach.teacher} teacher; in {all_wrong} of "
        f"{len(episodes)} candidate sets all were wrong; rows in {folder.sft_rows('sft')}"
    )


def _write_rows(config: DictConfig, rows: Sequence[SftRow]) -> dict[str, Any]:
    """Write the rows of SFT, counted as verl's trainer will see them; returns their statistics."""
    from gsr_rl.verl_plugin.sft_dataset import encode_row

    gsr, data = gsr_config(config), config.sft.data
    tokenizer = load_tokenizer(latest_model(config, "warmup"))
    chat_kwargs = dict(data.get("apply_chat_template_kwargs") or {})

    def lengths(row: SftRow) -> tuple[int, int]:
        prompt, response = encode_row(tokenizer, gsr.prompts, row.prompt, row.response, chat_kwargs)
        return len(prompt), len(response)

    return write_sft_data(
        RunFolder.of(config).sft_rows("sft"),
        [row for row in rows if row.kind == "direct"],
        [row for row in rows if row.kind == "refine"],
        lengths,
        refine_weight=config.teach.refine_weight,
        max_length=data.max_length,
        val_share=config.teach.val_share,
        seed=gsr.seed,
    )


def _targets(
    config: DictConfig, journal: Journal, problems: Sequence[Problem], episodes: Sequence[Episode]
) -> tuple[list[SftRow], Outcomes]:
    gsr, teach = gsr_config(config), teach_config(config)
    if teach.teacher == "oracle":
        return oracle_rows(problems, episodes, gsr.prompts), {}
    from gsr_rl.verl_plugin.reward import load_judge

    longest = int(config.actor_rollout_ref.rollout.prompt_length) + teach.llm.max_tokens
    with _at_work(config, teach.llm, longest, "llm.log") as (llm, each):
        teacher = LlmTeacher(
            replace(teach, llm=llm), gsr.prompts, teach.teacher_prompts(gsr), gsr.seed, load_judge(config), each
        )
        return teacher.rows(journal, problems, episodes)


def _draw_candidates(config: DictConfig, journal: Journal, problems: Sequence[Problem]) -> None:
    """Sample the pools, draw the sets from them, and write both."""
    gsr, teach, folder = gsr_config(config), teach_config(config), RunFolder.of(config)
    n = teach.pool_size(gsr)
    if not folder.pool.exists():
        if student_of(config).model:
            _ask_for_pools(config, journal, problems, n)
        else:
            _sample_pools(config, problems, n)
    tokenizer = load_tokenizer(latest_model(config, "warmup"))
    prompt_length = int(config.actor_rollout_ref.rollout.prompt_length)
    chat_kwargs = dict(config.data.apply_chat_template_kwargs)
    too_long: list[str] = []

    def sets() -> Iterator[Episode]:
        for pool in read_episodes(folder.pool):
            for order in draw_sets(n, gsr.k, teach.sets_per_problem, gsr.seed, pool.id):
                try:
                    yield show(pool, order, gsr.prompts, tokenizer, prompt_length, chat_kwargs)[0]
                except PromptTooLong:
                    too_long.append(pool.id)
                    break

    write_episodes(folder.candidates, sets())
    if too_long:
        left_out = f"{len(too_long)} problems leave no room for candidates, such as '{too_long[0]}'"
        print(f"gsr-rl teach: {left_out}; they have no refinement rows", flush=True)


def _sample_pools(config: DictConfig, problems: Sequence[Problem], n: int) -> None:
    """By the model that SFT starts from, with vLLM in this process."""
    from gsr_rl.generation.sampler import Sampler, sample_in_parts
    from gsr_rl.verl_plugin.reward import load_judge

    sampler = Sampler(config, latest_model(config, "warmup"), load_judge(config))

    def sample(part: Sequence[Problem], _: int) -> list[Episode]:
        sampled = sampler.candidates(part, extra=n - sampler.gsr.k)
        return [replace(one, candidates=one.candidates + one.extra_candidates, extra_candidates=()) for one in sampled]

    sample_in_parts(RunFolder.of(config).pool, problems, sample)
    if config.teach.teacher == "llm" and not config.teach.llm.urls:  # and will be loaded here
        sampler.close()


def _ask_for_pools(config: DictConfig, journal: Journal, problems: Sequence[Problem], n: int) -> None:
    """By the model of `teach.student`, with the sampling that candidates have everywhere."""
    from gsr_rl.verl_plugin.reward import load_judge

    gsr, folder = gsr_config(config), RunFolder.of(config)
    prompt = candidate_prompt(config)
    longest = int(config.actor_rollout_ref.rollout.prompt_length) + gsr.candidate_tokens
    with _at_work(config, student_of(config), longest, "student.log") as (student, each):
        write_episodes(folder.pool, sample_pools(student, journal, problems, prompt, n, load_judge(config), each))


def candidate_prompt(config: DictConfig) -> CandidatePrompt:
    """How a server is asked for candidates: with the sampling that they have everywhere."""
    gsr, student = gsr_config(config), teach_config(config).student
    template = config.data.apply_chat_template_kwargs
    parameters = sampling_parameters(gsr.validation.candidate, gsr.candidate_tokens, template)
    return CandidatePrompt(gsr.prompts, {**parameters, **student.extra_body}, gsr.seed)


@contextmanager
def _at_work(config: DictConfig, served: Served, longest: int, log: str) -> Iterator[tuple[Served, ForAll]]:
    """The model with its URLs, and who asks it: its servers, or with teach.engine=ray replicas when something is owed.

    Args:
        longest: the most tokens of a prompt and its response.
        log: name of the file for a server's output.
    """
    engine = engine_arguments(config, longest)
    if config.teach.engine == "ray":
        from gsr_rl.generation.ray_engine import sample

        yield served, partial(in_rounds, partial(sample, config, engine))
        return
    with at_urls(served, engine, RunFolder.of(config).stage("teach") / log) as there:
        yield there, for_all
