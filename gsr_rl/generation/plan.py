"""The plan of what is asked for one problem: a pool of candidates, then refinements of sets of them.

A plan is a function of the answers alone. Played against a backend it generates. Played against the journal of answers
it gives the episodes, and raises KeyError where an answer is missing.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gsr_rl.endings import closed_thought, is_in_thought, opens_thought
from gsr_rl.episode import Episode, Problem, Response, Verdict
from gsr_rl.errors import UsageError
from gsr_rl.generation.candidate_sets import draw_sets, show
from gsr_rl.generation.generate import Ask, Backend, Job, from_journal
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Message, Request
from gsr_rl.generation.scores import Scorer
from gsr_rl.prompts import PromptSet, PromptTooLong, Tokenizer, encode_prompt, shown_order, shown_text
from gsr_rl.settings.evaluation import Design

Prompt = Sequence[Message] | Sequence[int]
Judge = Callable[[Problem, str], bool | Verdict]


@dataclass(frozen=True, kw_only=True)
class ModelAccess:
    """A model and how it is asked: by token ids where its chat template is ours to apply, else by chat messages.

    Args:
        name: its name in requests.
        tokenizer: makes the token ids, and fits the refinement prompt into `max_tokens`. Without a tokenizer the
            candidates are shown whole.
        candidate, refinement: parameters of the API for a response of that stage.
    """

    name: str
    prompts: PromptSet
    tokenizer: Tokenizer | None
    by_tokens: bool
    max_tokens: int
    chat_kwargs: Mapping[str, Any]
    candidate: Mapping[str, Any]
    refinement: Mapping[str, Any]

    @cached_property
    def opens_thought(self) -> bool:
        """Whether the chat template opens a thought for the response; False where no tokenizer tells."""
        if self.tokenizer is None:
            return False
        ids = encode_prompt(self.tokenizer, self.prompts.messages("?"), **self.chat_kwargs)
        return opens_thought(self.tokenizer, ids)

    def direct(self, problem: Problem) -> Prompt:
        """The prompt for a candidate."""
        messages = self.prompts.direct_messages(problem.problem)
        if self.by_tokens and self.tokenizer is not None:
            return encode_prompt(self.tokenizer, messages, **self.chat_kwargs)
        return messages

    def refine(self, episode: Episode, order: Sequence[int]) -> tuple[Episode, Prompt]:
        """The episode with its candidates of `order` as the refiner sees them, and the prompt for a refinement.

        Raises:
            UsageError: the problem alone takes more than `max_tokens` tokens.
        """
        if self.tokenizer is None:
            shown = self._shown_whole(episode, order)
        else:
            try:
                shown, ids = show(episode, order, self.prompts, self.tokenizer, self.max_tokens, self.chat_kwargs)
            except PromptTooLong as error:
                hint = "raise actor_rollout_ref.rollout.prompt_length"
                raise UsageError(f"problem {episode.id} of {episode.dataset}: {error}; {hint}") from None
            if self.by_tokens:
                return shown, ids
        texts = [candidate.text for candidate in shown.candidates]
        return shown, self.prompts.refine_messages(episode.problem, texts)

    def _shown_whole(self, episode: Episode, order: Sequence[int]) -> Episode:
        def whole(candidate: Response) -> Response:
            return replace(candidate, text=shown_text(self.prompts, candidate.text, candidate.cut_off))

        return replace(episode, candidates=tuple(whole(episode.candidates[i]) for i in order))


@dataclass(frozen=True)
class PlanItem:
    """One problem in one of its repeats. `other` is the problem whose candidates its control gets, if it has one."""

    problem: Problem
    repeat: int = 0
    other: Problem | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Candidates by `model`, refinements by `refiner`, scores of the candidates by `scorer` if there is one.

    `verdicts` holds the verdicts so far, by the response's request and the problem that it is judged for: two
    benchmarks may have one problem with different gold answers.
    """

    design: Design
    model: ModelAccess
    refiner: ModelAccess
    judge: Judge
    seed: int
    scorer: Scorer | None = None
    verdicts: dict[tuple[str, Problem], bool | Verdict] = field(default_factory=dict)

    async def candidates(self, ask: Ask, item: PlanItem) -> tuple[Response, ...]:
        """The pool of a problem, in the order of its requests. An answer does not depend on the size of the pool."""
        prompt, parameters = self.model.direct(item.problem), self.model.candidate
        kind, n = f"candidate {item.repeat}", self.design.pool
        requests = [Request(kind, self.model.name, prompt, parameters, i, self.seed) for i in range(n)]
        pool = await self._responses(ask, item.problem, requests, self.model.opens_thought)
        if self.scorer is None:
            return pool
        score_requests = [self.scorer.request(item.problem.problem, candidate.text) for candidate in pool]
        scores = await asyncio.gather(*(ask(request) for request in score_requests))
        return tuple(replace(candidate, score=float(score.text)) for candidate, score in zip(pool, scores, strict=True))

    async def sample(self, ask: Ask, item: PlanItem) -> None:
        """Ask for everything that `candidates` are made of."""
        await self.candidates(ask, item)

    async def generate(self, ask: Ask, item: PlanItem) -> None:
        """Ask for everything that the `episodes` of all sizes are made of."""
        await self.candidates(ask, item)
        await asyncio.gather(*(self.episodes(ask, item, k) for k in self.design.sizes))

    async def episodes(self, ask: Ask, item: PlanItem, k: int) -> list[Episode]:
        """The rows of a problem whose sets have k candidates: one row, or the rows of all rounds."""
        pool = await self.candidates(ask, item)
        if self.design.sets:
            return await self._rounds(ask, item, k, pool)
        return [await self._one_set(ask, item, k, pool)]

    async def _one_set(self, ask: Ask, item: PlanItem, k: int, pool: tuple[Response, ...]) -> Episode:
        order = shown_order(k, self.seed, item.problem.id, item.repeat)
        episode = self._episode(item.problem, pool[:k], pool[k:])
        refined = self._refined(ask, item.problem, episode, order, f"refinement {item.repeat}")
        if item.other is None:
            return await refined
        real, control = await asyncio.gather(refined, self._swapped(ask, item, item.other, episode, order))
        return replace(real, swapped_refinements=control.refinements)

    async def _swapped(
        self, ask: Ask, item: PlanItem, other: Problem, episode: Episode, order: Sequence[int]
    ) -> Episode:
        candidates = await replace(self, scorer=None).candidates(ask, PlanItem(other, item.repeat))
        swapped = replace(episode, candidates=candidates[: len(order)])
        return await self._refined(ask, item.problem, swapped, order, f"swapped {item.repeat}")

    async def _rounds(self, ask: Ask, item: PlanItem, k: int, pool: tuple[Response, ...]) -> list[Episode]:
        design, problem, rows = self.design, item.problem, list[Episode]()
        for number in range(1, design.rounds + 1):
            drawn = draw_sets(len(pool), k, design.sets, self.seed, f"{problem.id} {item.repeat} {number}")
            refined = []
            for i, subset in enumerate(drawn):
                extra = [candidate for j, candidate in enumerate(pool) if j not in subset][: design.extra]
                episode = self._episode(problem, pool, extra, number)
                refined.append(self._refined(ask, problem, episode, subset, f"refinement {item.repeat} {number} {i}"))
            made = await asyncio.gather(*refined)
            rows += made
            pool = tuple(episode.refinements[0] for episode in made)
        return rows

    def _episode(
        self, problem: Problem, candidates: Sequence[Response], extra: Sequence[Response], number: int = 1
    ) -> Episode:
        model, refiner = self.model.name, self.refiner.name
        return Episode.of(problem, candidates, extra_candidates=extra, round=number, model=model, refiner=refiner)

    async def _refined(self, ask: Ask, problem: Problem, episode: Episode, order: Sequence[int], kind: str) -> Episode:
        """The episode as the refiner saw its candidates of `order`, with the refinements."""
        shown, prompt = self.refiner.refine(episode, order)
        name, parameters = self.refiner.name, self.refiner.refinement
        requests = [Request(kind, name, prompt, parameters, i, self.seed) for i in range(self.design.m)]
        opened = self.refiner.opens_thought
        return replace(shown, refinements=await self._responses(ask, problem, requests, opened))

    async def _responses(
        self, ask: Ask, problem: Problem, requests: Sequence[Request], opened: bool
    ) -> tuple[Response, ...]:
        answers = await asyncio.gather(*(ask(request) for request in requests))

        def judge_all() -> tuple[Response, ...]:
            return tuple(self._judged(problem, *pair, opened) for pair in zip(requests, answers, strict=True))

        return await asyncio.to_thread(judge_all)

    def _judged(self, problem: Problem, request: Request, answer: Answer, opened: bool) -> Response:
        text = answer.whole
        if answer.cut_off and is_in_thought(text, opened):
            text = closed_thought(text)
        key = (request.key, problem)
        if key not in self.verdicts:
            self.verdicts[key] = self.judge(problem, text)
        correct = self.verdicts[key]
        return Response.of(text, correct, cut_off=answer.cut_off, n_tokens=answer.tokens or None)


def plan_items(problems: Sequence[Problem], repeats: int = 1, swapped: int = 0) -> list[PlanItem]:
    """Each problem as often as it is repeated.

    The first `swapped` problems have the control in their first repeat: each gets the candidates of the next of them,
    and the last gets those of the first.
    """
    items: list[PlanItem] = []
    n = min(swapped, len(problems))
    for i, problem in enumerate(problems):
        other = problems[(i + 1) % n] if i < n > 1 else None
        items += [PlanItem(problem, repeat, None if repeat else other) for repeat in range(repeats)]
    return items


def missing(journal: Journal, items: Sequence[PlanItem], work: Callable[..., Any]) -> list[PlanItem]:
    """The items for which `work`, a method of a plan, lacks an answer in the journal."""
    lacking: list[PlanItem] = []
    with asyncio.Runner() as runner:
        for item in items:
            try:
                runner.run(work(from_journal(journal), item))
            except KeyError:
                lacking.append(item)
    return lacking


def sample_pools(plan: Plan, backend: Backend, journal: Journal, problems: Sequence[Problem]) -> Iterator[Episode]:
    """One episode a problem; its candidates are the pool, in the order of its requests.

    Raises:
        UsageError: see `Backend`.
    """
    items = [PlanItem(problem) for problem in problems]
    backend(journal, Job("teach: candidates", items, plan.sample, len(items)))
    with asyncio.Runner() as runner:
        for item in items:
            yield Episode.of(item.problem, runner.run(plan.candidates(from_journal(journal), item)))


def planned_episodes(plan: Plan, journal: Journal, items: Sequence[PlanItem], k: int) -> Iterator[Episode]:
    """The episodes whose sets have k candidates, from the answers in the journal."""
    with asyncio.Runner() as runner:
        for item in items:
            yield from runner.run(plan.episodes(from_journal(journal), item, k))
