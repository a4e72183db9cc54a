"""The two phases of `gsr-rl teach` on generated problems, without a tokenizer: the work that the drills beside it do.

    python bench/teach_work.py URL... --folder DIR [--problems 300] [--concurrency 32]

writes DIR/rows.parquet. If it was interrupted, it resumes from DIR/answers.jsonl.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from scripted_server import MODEL

from data_prep.rows import write_sft_rows
from gsr_rl.episode import Episode, Problem
from gsr_rl.generation.candidate_sets import draw_sets
from gsr_rl.generation.generate import ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import ModelAccess, Plan, sample_pools
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.evaluation import Design
from gsr_rl.settings.teach import Teach
from rewards.answers import equivalent, extract_answer

K = 4


@dataclass(frozen=True)
class Done:
    """The contents of a folder after a run."""

    rows: Path
    answers: int
    outcomes: Outcomes


def judge(problem: Problem, text: str) -> bool:
    """Whether a response is right."""
    return equivalent(extract_answer(text) or "", problem.gold)


def work(urls: Sequence[str], folder: Path, n: int, concurrency: int, timeout_s: float = 10.0) -> Done:
    """K candidates, a direct solution and a refinement for each of n problems."""
    problems = [Problem(str(i), "drill", f"Problem {i}: which digit?", str(i % 10)) for i in range(n)]
    served = {"urls": list(urls), "model": MODEL, "concurrency": concurrency, "timeout_s": timeout_s}
    served |= {"retry_s": 0.05, "api_key_env": "TEACH_DRILL_KEY"}
    teach = Teach.of({"teacher": "llm", "keep": "all", "student": served, "llm": served}, "teach")
    prompts = PromptSet()
    student = ModelAccess(
        name=MODEL,
        prompts=prompts,
        tokenizer=None,
        by_tokens=False,
        max_tokens=0,
        chat_kwargs={},
        candidate={"temperature": 1.0, "max_tokens": 64},
        refinement={},
    )
    plan = Plan(design=Design([K], K), model=student, refiner=student, judge=judge, seed=0)
    teacher = LlmTeacher(
        teach=teach,
        model=MODEL,
        prompts=prompts,
        teacher_prompts=prompts,
        run_seed=0,
        judge=judge,
        backend=partial(ask_servers, teach.llm),
    )
    with Journal(folder / "answers.jsonl") as journal:
        pools = list(sample_pools(plan, partial(ask_servers, teach.student), journal, problems))
        rows, outcomes = teacher.rows(journal, problems, [_set(pool) for pool in pools])
        write_sft_rows(folder / "rows.parquet", rows)
        return Done(folder / "rows.parquet", len(journal), outcomes)


def _set(pool: Episode) -> Episode:
    (order,) = draw_sets(K, K, 1, 0, pool.id)
    return replace(pool, candidates=tuple(pool.candidates[i] for i in order))


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
