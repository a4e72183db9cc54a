"""Sets of candidates: which are drawn from a pool, and each set as a refiner sees it."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gsr_rl.episode import Episode
from gsr_rl.prompts import PromptSet, Tokenizer, fit_refine_prompt, shown_order


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
    orders = [shown_order(k, seed, problem_id, number) for number in range(sets)]
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
    shown = [(candidate.text, candidate.cut_off) for candidate in ordered]
    ids, texts = fit_refine_prompt(prompts, episode.problem, shown, tokenizer, max_tokens, chat_kwargs)
    seen = tuple(replace(candidate, text=text) for candidate, text in zip(ordered, texts, strict=True))
    return replace(episode, candidates=seen), ids
