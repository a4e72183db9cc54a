"""Targets by a language model: direct solutions, refinements of candidates, and which of them become training rows.

Paper (arXiv 2509.00084): D_direct and D_selfR by one frozen teacher. Whether its targets were checked is not known;
here the recipe says so (`teach.keep`).
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from data_prep.rows import RowKind, SftRow
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation.candidates import Judge
from gsr_rl.generation.generate import Ask, ForAll, for_all
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Message, Request
from gsr_rl.generation.servers import answer_in
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.teach import TeachConfig

Outcome = Literal["correct", "wrong", "cut_off", "no_text"]
Outcomes = dict[str, dict[str, int]]  # by kind, how many targets came to what


@dataclass(frozen=True)
class Task:
    """One target that is owed: the prompt that the student will be trained on, and what the teacher is asked."""

    kind: RowKind
    problem: Problem
    prompt: str
    messages: Sequence[Message]


@dataclass(frozen=True)
class LlmTeacher:
    """A language model as the teacher of the student whose prompts are `prompts`."""

    teach: TeachConfig
    prompts: PromptSet
    teacher_prompts: PromptSet
    run_seed: int
    judge: Judge
    each: ForAll = for_all

    def rows(
        self, journal: Journal, problems: Sequence[Problem], episodes: Sequence[Episode]
    ) -> tuple[list[SftRow], Outcomes]:
        """One row for each problem and each candidate set whose target is kept, in this order.

        Raises:
            UsageError: see `for_all`; or of one kind no target is kept.
        """
        llm, total = self.teach.llm, len(problems) + len(episodes)
        tasks = self._tasks(problems, episodes)
        results = self.each(llm, journal, tasks, self._write, what="teach: targets", total=total)
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
                    f"{journal.path}: no {kind} target of {llm.model} can be kept ({what}); see teach.keep"
                )
        return rows, {kind: dict(sorted(count.items())) for kind, count in counts.items()}

    def _tasks(self, problems: Sequence[Problem], episodes: Sequence[Episode]) -> Iterator[Task]:
        own, teacher = self.prompts, self.teacher_prompts
        for one in problems:
            asked = teacher.direct_prompt(one.problem)
            yield Task("direct", one, own.direct_prompt(one.problem), teacher.messages(asked))
        for episode in episodes:
            problem = Problem(episode.id, episode.dataset, episode.problem, episode.gold)
            texts = [candidate.text for candidate in episode.candidates]
            asked = teacher.refine_prompt(episode.problem, texts)
            yield Task("refine", problem, own.refine_prompt(episode.problem, texts), teacher.messages(asked))

    def _request(self, task: Task, number: int) -> Request:
        llm = self.teach.llm
        return Request(task.kind, str(llm.model), task.messages, llm.parameters, number, self.run_seed)

    async def _write(self, ask: Ask, task: Task) -> tuple[int, Outcome]:
        """Number and outcome of the first correct try, or else of the first that came to an end."""
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
