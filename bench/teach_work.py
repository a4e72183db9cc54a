"""The two phases of `gsr-rl teach` on generated problems, without a tokenizer: what the drills beside it run.

    python bench/teach_work.py URL... --folder DIR [--problems 300] [--concurrency 32]

writes DIR/rows.parquet, and goes on from DIR/answers.jsonl if it was interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from gsr_rl.generation.candidates import CandidatePrompt, draw_sets, sample_pools
from scripted_server import MODEL

from data_prep.rows import write_sft_rows
from gsr_rl.episode import Episode, Problem
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.gsr import from_mapping
from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.settings.teach import TeachConfig
from rewards.answers import equivalent, extract_answer

K = 4


@dataclass(frozen=True)
class Done:
    """What is in a folder after a run."""

    rows: Path
    answers: int
    outcomes: Outcomes


def judge(problem: Problem, text: str) -> bool:
    return equivalent(extract_answer(text) or "", problem.gold)


def work(urls: Sequence[str], folder: Path, n: int, concurrency: int, timeout_s: float = 10.0) -> Done:
    """K candidates, a direct solution and a refinement of each of n problems."""
    problems = [Problem(str(i), "drill", f"Problem {i}: which digit?", str(i % 10)) for i in range(n)]
    # The recipes' defaults, and what differs here.
    section = yaml.safe_load((recipes_dir() / "base.yaml").read_text())["teach"]
    section |= {"teacher": "llm", "keep": "all", "refine_weight": 0.5}
    for role in ("student", "llm"):
        section[role] |= {"urls": list(urls), "model": MODEL, "concurrency": concurrency, "timeout_s": timeout_s}
        section[role] |= {"retry_s": 0.05, "api_key_env": "TEACH_DRILL_KEY"}
    teach = from_mapping(TeachConfig, section, "teach")
    prompts = PromptSet()
    teacher = LlmTeacher(teach, prompts, prompts, 0, judge)
    with Journal(folder / "answers.jsonl") as journal:
        ask = CandidatePrompt(prompts, {"temperature": 1.0, "max_tokens": 64}, 0)
        pools = list(sample_pools(teach.student, journal, problems, ask, K, judge))
        rows, outcomes = teacher.rows(journal, problems, [_set(pool) for pool in pools])
        write_sft_rows(folder / "rows.parquet", rows)
        return Done(folder / "rows.parquet", len(journal), outcomes)


def _set(pool: Episode) -> Episode:
    (order,) = draw_sets(K, K, 1, 0, pool.id)
    return Episode(pool.id, pool.dataset, pool.problem, pool.gold, tuple(pool.candidates[i] for i in order))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    done = work(options.urls, options.folder, options.problems, options.concurrency)
    print(f"{done.answers} answers, rows in {done.rows}: {done.outcomes}")


if __name__ == "__main__":
    main()
