"""Stage `teach`: SFT rows. Candidates by the model that SFT starts from, targets by the teacher.

Paper (arXiv 2509.00084): a frozen student samples the candidates, a frozen teacher writes direct solutions (D_direct)
and refinements of those candidates (D_selfR); candidate sets in which all are wrong are kept.
"""

from collections.abc import Sequence

from omegaconf import DictConfig

from data_prep.oracle import OracleTeacher, Teacher
from data_prep.problems import load_problems
from data_prep.rows import direct_rows, mix_by_tokens, refine_rows, write_sft_rows
from gsr_rl.config import GsrConfig, from_mapping
from gsr_rl.episode import Problem, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.preflight import load_tokenizer
from gsr_rl.stages.layout import RunFolder, latest_model


def load_teacher(config: DictConfig) -> Teacher:
    if config.teach.teacher != "oracle":
        raise UsageError(f"teach.teacher={config.teach.teacher}: only `oracle` is here; set teach.teacher=oracle")
    return OracleTeacher()


def direct(config: DictConfig) -> None:
    """Rows of D_direct alone, for `warmup`."""
    gsr, folder = from_mapping(GsrConfig, config.gsr, "gsr"), RunFolder.of(config)
    rows = direct_rows(load_problems(folder.problems("train")), load_teacher(config), gsr.prompts)
    write_sft_rows(folder.sft_rows("warmup"), rows)


def run(config: DictConfig) -> None:
    """Write `<run_dir>/teach/{candidates.jsonl,train.parquet}`; candidates that are there already are taken."""
    gsr, folder = from_mapping(GsrConfig, config.gsr, "gsr"), RunFolder.of(config)
    teacher, problems = load_teacher(config), load_problems(folder.problems("train"))
    if not folder.candidates.exists():
        _sample_candidates(config, problems[: config.teach.problems])
    episodes = read_episodes(folder.candidates)
    tokenizer = load_tokenizer(latest_model(config, "warmup"))
    rows = mix_by_tokens(
        direct_rows(problems, teacher, gsr.prompts),
        refine_rows(episodes, teacher, gsr.prompts),
        gsr.refine_weight,
        lambda text: len(tokenizer.encode(text, add_special_tokens=False)) + 1,  # and end of sequence
        gsr.seed,
    )
    write_sft_rows(folder.sft_rows("sft"), rows)
    kinds = [row.kind for row in rows]
    all_wrong = sum(not any(one.correct for one in episode.candidates) for episode in episodes)
    print(
        f"gsr-rl teach: {kinds.count('direct')} direct and {kinds.count('refine')} refinement rows by the "
        f"{config.teach.teacher} teacher; in {all_wrong} of {len(episodes)} candidate sets all were wrong; "
        f"rows in {folder.sft_rows('sft')}"
    )


def _sample_candidates(config: DictConfig, problems: Sequence[Problem]) -> None:
    from gsr_rl.stages.sampler import Sampler, sample_in_parts
    from gsr_rl.verl_plugin.reward import load_judge

    sampler = Sampler(config, latest_model(config, "warmup"), load_judge(config))
    sample_in_parts(
        RunFolder.of(config).candidates,
        problems,
        lambda part, _: [shown for shown, _ in sampler.shown(sampler.candidates(part))],
    )
