"""Stage `teach`: SFT rows. Candidates by the model that SFT starts from, targets by the teacher.

Paper (arXiv 2509.00084): a frozen student samples the candidates, a frozen teacher writes direct solutions (D_direct)
and refinements of those candidates (D_selfR); candidate sets in which all are wrong are kept.
"""

from omegaconf import DictConfig
from transformers import AutoTokenizer

from data_prep.oracle import OracleTeacher, Teacher
from data_prep.problems import load_problems
from data_prep.rows import build_sft_rows, mix_by_tokens, write_sft_rows
from gsr_rl.config import GsrConfig, from_mapping
from gsr_rl.episode import Episode, Problem, write_episodes
from gsr_rl.errors import UsageError
from gsr_rl.stages.layout import RunFolder, base_model, latest_model


def load_teacher(config: DictConfig) -> Teacher:
    if config.teach.teacher != "oracle":
        raise UsageError(f"teach.teacher={config.teach.teacher}: only `oracle` is here; set teach.teacher=oracle")
    return OracleTeacher()


def train_problems(config: DictConfig) -> list[Problem]:
    problems = load_problems(RunFolder.of(config).problems("train"), dataset=None)
    return problems if config.teach.problems is None else problems[: config.teach.problems]


def direct(config: DictConfig) -> None:
    """Rows of D_direct alone, for `warmup`."""
    gsr = from_mapping(GsrConfig, config.gsr, "gsr")
    problems = train_problems(config)
    episodes = [Episode(one.id, one.dataset, one.problem, one.gold, ()) for one in problems]
    rows, _ = build_sft_rows(episodes, load_teacher(config), gsr.prompts)
    write_sft_rows(RunFolder.of(config).sft_rows("warmup"), rows)


def run(config: DictConfig) -> None:
    """Write `<run_dir>/teach/{candidates.jsonl,train.parquet}`."""
    from gsr_rl.stages.sampler import Sampler
    from gsr_rl.verl_plugin.reward import load_judge

    gsr, folder = from_mapping(GsrConfig, config.gsr, "gsr"), RunFolder.of(config)
    teacher, problems = load_teacher(config), train_problems(config)
    student = latest_model(config, "warmup")
    episodes = Sampler(config, student, load_judge(config)).candidates(problems)
    write_episodes(folder.stage("teach") / "candidates.jsonl", episodes)
    direct_rows, refine_rows = build_sft_rows(episodes, teacher, gsr.prompts)
    tokenizer = AutoTokenizer.from_pretrained(base_model(config))

    def count_tokens(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False)) + 1  # the end-of-sequence token

    rows = mix_by_tokens(direct_rows, refine_rows, gsr.refine_weight, count_tokens, gsr.seed)
    write_sft_rows(folder.sft_rows("sft"), rows)
    all_wrong = sum(not any(one.correct for one in episode.candidates) for episode in episodes)
    print(
        f"gsr-rl teach: {sum(row.kind == 'direct' for row in rows)} direct and "
        f"{sum(row.kind == 'refine' for row in rows)} refinement rows by {config.teach.teacher} teacher, "
        f"{all_wrong} of {len(episodes)} candidate sets all wrong; in {folder.sft_rows('sft')}"
    )
