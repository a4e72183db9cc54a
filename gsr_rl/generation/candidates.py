"""Candidates of the student: a pool a problem, the sets drawn from it, and each set as a refiner is shown it."""

import asyncio
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gsr_rl.episode import Episode, Problem, Response
from gsr_rl.generation.generate import Ask, ForAll, for_all
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.servers import answer_in
from gsr_rl.prompts import PromptSet, Tokenizer, fit_refine_prompt, shuffled_order
from gsr_rl.settings.served import Served
from rewards.answers import extract_answer

Judge = Callable[[Problem, str], bool]


@dataclass(frozen=True)
class CandidatePrompt:
    """How a model is asked for candidates: the direct prompt, the API's parameters of its sampling, the run's seed."""

    prompts: PromptSet
    parameters: Mapping[str, Any]
    run_seed: int

    def requests(self, problem: Problem, model: str, n: int) -> list[Request]:
        """Of `n` candidates."""
        messages = self.prompts.messages(self.prompts.direct_prompt(problem.problem))
        return [Request("candidate", model, messages, self.parameters, i, self.run_seed) for i in range(n)]


def sample_pools(
    served: Served,
    journal: Journal,
    problems: Sequence[Problem],
    prompt: CandidatePrompt,
    n: int,
    judge: Judge,
    each: ForAll = for_all,
) -> Iterator[Episode]:
    """One episode a problem, its `n` candidates in the order in which they were asked for.

    Raises:
        UsageError: see `for_all`.
    """
    model = str(served.model)

    async def work(ask: Ask, problem: Problem) -> list[bool]:
        answers = await asyncio.gather(*(ask(request) for request in prompt.requests(problem, model, n)))
        return await asyncio.to_thread(lambda: [judge(problem, answer.whole) for answer in answers])

    verdicts = each(served, journal, problems, work, what="teach: candidates", total=len(problems))
    for problem, correct in zip(problems, verdicts, strict=True):
        answers = [answer_in(journal, request.key) for request in prompt.requests(problem, model, n)]
        responses = tuple(map(_response, answers, correct))
        yield Episode(problem.id, problem.dataset, problem.problem, problem.gold, responses)


def _response(answer: Answer, correct: bool) -> Response:
    text = answer.whole
    return Response(text, extract_answer(text), correct, answer.cut_off, answer.tokens or None)


def draw_sets(pool: int, k: int, sets: int, seed: int, problem_id: str) -> list[list[int]]:
    """`sets` different subsets of k of range(pool), each in the order in which it is shown; the key alone decides."""
    rng = random.Random(repr((seed, "sets", problem_id)))
    if 2 * sets > math.comb(pool, k):
        chosen = rng.sample(list(itertools.combinations(range(pool), k)), sets)
    else:
        drawn: dict[tuple[int, ...], None] = {}
        while len(drawn) < sets:
            drawn[tuple(sorted(rng.sample(range(pool), k)))] = None
        chosen = list(drawn)
    key = (seed, "eval", problem_id, "order")
    orders = [shuffled_order(k, *key, *([number] if number else [])) for number in range(sets)]
    return [[subset[i] for i in order] for subset, order in zip(chosen, orders, strict=True)]


def show(
    episode: Episode,
    order: Sequence[int],
    prompts: PromptSet,
    tokenizer: Tokenizer,
    max_tokens: int,
    chat_kwargs: Mapping[str, Any],
) -> tuple[Episode, list[int]]:
    """The episode with its candidates of `order` as the refiner sees them, and the refinement prompt's token ids.

    Raises:
        PromptTooLong: the problem alone takes more than `max_tokens` tokens.
    """
    ordered = [episode.candidates[i] for i in order]
    shown = [(one.text, one.cut_off) for one in ordered]
    ids, texts = fit_refine_prompt(prompts, episode.problem, shown, tokenizer, max_tokens, chat_kwargs)
    seen = tuple(replace(one, text=text) for one, text in zip(ordered, texts, strict=True))
    return replace(episode, candidates=seen), ids


def difficulty(pools: Sequence[Episode]) -> list[int]:
    """Of how many problems 0, 1, ... and all candidates of the pool are correct."""
    counts = [0] * (1 + max((len(one.candidates) for one in pools), default=0))
    for one in pools:
        counts[sum(candidate.correct for candidate in one.candidates)] += 1
    return counts
