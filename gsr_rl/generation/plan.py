"""What is asked of models for one problem of an evaluation: a pool of candidates, then refinements of sets of them.

A function of the answers alone. Played against servers it generates; played against the journal of their answers it
gives the episodes, and raises KeyError where one is owed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gsr_rl.episode import Episode, Problem, Response
from gsr_rl.errors import UsageError
from gsr_rl.generation.candidates import Judge, draw_sets, show
from gsr_rl.generation.generate import Ask
from gsr_rl.generation.requests import Answer, Message, Request
from gsr_rl.generation.scores import Scorer
from gsr_rl.prompts import PromptSet, PromptTooLong, Tokenizer, encode_prompt, final_text, shuffled_order
from gsr_rl.settings.evaluation import Design
from rewards.answers import extract_answer

Prompt = Sequence[Message] | Sequence[int]


@dataclass(frozen=True)
class Asked:
    """A model and how it is asked: by token ids where its chat template is ours to apply, else by chat messages.

    Args:
        name: in requests.
        tokenizer: for token ids, and for the budget of the refinement prompt, `max_tokens`. Without one the candidates
            are shown whole.
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

    def direct(self, problem: Problem) -> Prompt:
        messages = self.prompts.messages(self.prompts.direct_prompt(problem.problem))
        if self.by_tokens and self.tokenizer is not None:
            return encode_prompt(self.tokenizer, messages, **self.chat_kwargs)
        return messages

    def refine(self, episode: Episode, order: Sequence[int]) -> tuple[Episode, Prompt]:
        """The episode with its candidates of `order` as the refiner sees them, and what it is asked.

        Raises:
            UsageError: the problem alone takes more than `max_tokens` tokens.
        """
        if self.tokenizer is None:
            shown = self._shown_whole(episode, order)
        else:
            try:
                shown, ids = show(episode, order, self.prompts, self.tokenizer, self.max_tokens, self.chat_kwargs)
            except PromptTooLong as error:
                mend = "raise actor_rollout_ref.rollout.prompt_length"
                raise UsageError(f"problem {episode.id} of {episode.dataset}: {error}; {mend}") from None
            if self.by_tokens:
                return shown, ids
        texts = [one.text for one in shown.candidates]
        return shown, self.prompts.messages(self.prompts.refine_prompt(episode.problem, texts))

    def _shown_whole(self, episode: Episode, order: Sequence[int]) -> Episode:
        mark = self.prompts.cut_off_mark
        seen = [
            replace(one, text=f"{final_text(one.text)} {mark}" if one.cut_off else final_text(one.text))
            for one in (episode.candidates[i] for i in order)
        ]
        return replace(episode, candidates=tuple(seen))


@dataclass(frozen=True)
class Item:
    """One problem in one of its repeats. `other` is the problem whose candidates its control gets, if it has one."""

    problem: Problem
    repeat: int = 0
    other: Problem | None = None


@dataclass(frozen=True)
class Plan:
    """Candidates by `model`, refinements by `refiner`, scores of the candidates by `scorer` if there is one.

    `verdicts` are those of the responses so far by their requests' keys: each is judged once.
    """

    design: Design
    model: Asked
    refiner: Asked
    judge: Judge
    seed: int
    scorer: Scorer | None = None
    verdicts: dict[str, bool] = field(default_factory=dict)

    async def candidates(self, ask: Ask, item: Item) -> tuple[Response, ...]:
        """The pool of a problem, in the order in which it was asked for; the answers do not depend on its size."""
        prompt, parameters = self.model.direct(item.problem), self.model.candidate
        kind, n = f"candidate {item.repeat}", self.design.pool
        requests = [Request(kind, self.model.name, prompt, parameters, i, self.seed) for i in range(n)]
        pool = await self._responses(ask, item.problem, requests)
        if self.scorer is None:
            return pool
        asked = [self.scorer.request(item.problem.problem, one.text) for one in pool]
        scores = await asyncio.gather(*(ask(request) for request in asked))
        return tuple(replace(one, score=float(score.text)) for one, score in zip(pool, scores, strict=True))

    async def sample(self, ask: Ask, item: Item) -> None:
        """Ask for all that `candidates` are made of."""
        await self.candidates(ask, item)

    async def generate(self, ask: Ask, item: Item) -> None:
        """Ask for all that `episodes` of every size are made of."""
        await self.candidates(ask, item)
        await asyncio.gather(*(self.episodes(ask, item, k) for k in self.design.sizes))

    async def episodes(self, ask: Ask, item: Item, k: int) -> list[Episode]:
        """The rows of a problem whose sets have k candidates: one, or those of all rounds."""
        pool = await self.candidates(ask, item)
        return await (self._rounds if self.design.sets else self._one_set)(ask, item, k, pool)

    async def _one_set(self, ask: Ask, item: Item, k: int, pool: tuple[Response, ...]) -> list[Episode]:
        repeat = [item.repeat] if item.repeat else []
        order = shuffled_order(k, self.seed, "eval", item.problem.id, "order", *repeat)
        episode = self._episode(item.problem, pool[:k], pool[k:])
        refined = self._refined(ask, item.problem, episode, order, f"refinement {item.repeat}")
        if item.other is None:
            return [await refined]
        swapped = self._swapped(ask, item, episode, order)
        real, control = await asyncio.gather(refined, swapped)
        return [replace(real, swapped_refinements=control.refinements)]

    async def _swapped(self, ask: Ask, item: Item, episode: Episode, order: Sequence[int]) -> Episode:
        assert item.other is not None
        others = await replace(self, scorer=None).candidates(ask, Item(item.other, item.repeat))
        swapped = replace(episode, candidates=others[: len(order)])
        return await self._refined(ask, item.problem, swapped, order, f"swapped {item.repeat}")

    async def _rounds(self, ask: Ask, item: Item, k: int, pool: tuple[Response, ...]) -> list[Episode]:
        design, problem, rows = self.design, item.problem, list[Episode]()
        for number in range(1, design.rounds + 1):
            drawn = draw_sets(len(pool), k, design.sets, self.seed, f"{problem.id} {item.repeat} {number}")
            refined = [
                self._refined(
                    ask,
                    problem,
                    self._episode(problem, pool, _others(pool, subset)[: design.extra], number),
                    subset,
                    f"refinement {item.repeat} {number} {i}",
                )
                for i, subset in enumerate(drawn)
            ]
            made = await asyncio.gather(*refined)
            rows += made
            pool = tuple(one.refinements[0] for one in made)
        return rows

    def _episode(
        self, problem: Problem, candidates: tuple[Response, ...], extra: tuple[Response, ...], number: int = 1
    ) -> Episode:
        about = (problem.id, problem.dataset, problem.problem, problem.gold)
        return Episode(*about, candidates, (), extra, (), number, self.model.name, self.refiner.name)

    async def _refined(self, ask: Ask, problem: Problem, episode: Episode, order: Sequence[int], kind: str) -> Episode:
        """The episode as the refiner saw its candidates of `order`, with the refinements."""
        shown, prompt = self.refiner.refine(episode, order)
        name, parameters = self.refiner.name, self.refiner.refinement
        requests = [Request(kind, name, prompt, parameters, i, self.seed) for i in range(self.design.m)]
        return replace(shown, refinements=await self._responses(ask, problem, requests))

    async def _responses(self, ask: Ask, problem: Problem, requests: Sequence[Request]) -> tuple[Response, ...]:
        answers = await asyncio.gather(*(ask(request) for request in requests))
        return await asyncio.to_thread(lambda: tuple(map(self._judged, [problem] * len(answers), requests, answers)))

    def _judged(self, problem: Problem, request: Request, answer: Answer) -> Response:
        text = answer.whole
        if request.key not in self.verdicts:
            self.verdicts[request.key] = self.judge(problem, text)
        correct = self.verdicts[request.key]
        return Response(text, extract_answer(text), correct, answer.cut_off, answer.tokens or None)


def _others(pool: tuple[Response, ...], subset: Sequence[int]) -> tuple[Response, ...]:
    return tuple(one for i, one in enumerate(pool) if i not in subset)
