"""Targets by a language model: direct solutions, refinements of candidates, and which of them become training rows.

Paper (arXiv 2509.00084): D_direct and D_selfR by one frozen teacher. The paper does not say whether its targets were
checked; here the recipe does (`teach.keep`).
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from data_prep.rows import RowKind, SftRow, sft_inputs
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation.generate import Ask, Backend, Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import Judge
from gsr_rl.generation.requests import Answer, Message, Request
from gsr_rl.generation.servers import answer_in
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.teach import Teach

Outcome = Literal["correct", "wrong", "cut_off", "no_text"]
Outcomes = dict[str, dict[str, int]]  # by kind, how many targets came to what


@dataclass(frozen=True)
class Task:
    """A target to be written: the prompt that the student will be trained on, and the messages for the teacher."""

    kind: RowKind
    problem: Problem
    prompt: str
    messages: Sequence[Message]


@dataclass(frozen=True, kw_only=True)
class LlmTeacher:
    """A language model as the teacher of the student whose prompts are `prompts`.

    Args:
        model: its name in requests.
        backend: answers its requests.
    """

    teach: Teach
    model: str
    prompts: PromptSet
    teacher_prompts: PromptSet
    run_seed: int
    judge: Judge
    backend: Backend

    def rows(
        self, journal: Journal, problems: Sequence[Problem], episodes: Sequence[Episode]
    ) -> tuple[list[SftRow], Outcomes]:
        """One row for each problem and each candidate set whose target is kept, in this order.

        Raises:
            UsageError: see `Backend`; or no target of some kind is kept.
        """
        job = Job("teach: targets", self._tasks(problems, episodes), self._write, len(problems) + len(episodes))
        results = self.backend(journal, job)
        rows: list[SftRow] = []
        counts: dict[str, Counter[str]] = {}
        for task, (number, outcome) in zip(self._tasks(problems, episodes), results, strict=True):
            counts.setdefault(task.kind, Counter())[outcome] += 1
            if outcome == "correct" or (outcome == "wrong" and self.teach.keep == "all"):
                answer = answer_in(journal, self._request(task, number).key)
                target = answer.whole if self.teach.thinking == "keep" else answer.text
                rows.append(SftRow(task.problem.id, task.kind, task.prompt, target))
        for kind, count in counts.items():
            if not any(row.kind == kind for row in rows):
                what = ", ".join(f"{n} {outcome}" for outcome, n in count.items())
                raise UsageError(
                    f"{journal.path}: no {kind} target of {self.teach.llm.model} can be kept ({what}); see teach.keep"
                )
        return rows, {kind: dict(sorted(count.items())) for kind, count in counts.items()}

    def _tasks(self, problems: Sequence[Problem], episodes: Sequence[Episode]) -> Iterator[Task]:
        teacher = self.teacher_prompts
        for kind, problem, prompt, texts in sft_inputs(problems, episodes, self.prompts):
            messages = (
                teacher.direct_messages(problem.problem)
                if kind == "direct"
                else teacher.refine_messages(problem.problem, texts)
            )
            yield Task(kind, problem, prompt, messages)

    def _request(self, task: Task, number: int) -> Request:
        return Request(task.kind, self.model, task.messages, self.teach.llm.parameters, number, self.run_seed)

    async def _write(self, ask: Ask, task: Task) -> tuple[int, Outcome]:
        """Number and outcome of the first correct try, or else of the first try that was not cut off."""
        best: tuple[int, Outcome] | None = None
        for number in range(self.teach.tries):
            answer = await ask(self._request(task, number))
            outcome = await asyncio.to_thread(self._judged, task.problem, answer)
            if outcome == "correct":
                return number, outcome
            if best is None or (outcome == "wrong" and best[1] != "wrong"):
                best = number, outcome
        assert best is not None  # teach.tries is at least 1
        return best

    def _judged(self, problem: Problem, answer: Answer) -> Outcome:
        if answer.cut_off:
            return "cut_off"
        if not answer.text.strip():
            return "no_text"
        return "correct" if self.judge(problem, answer.text) else "wrong"
