"""Sampling whole episodes from a model with vLLM's own engine, outside of training: for `teach` and `eval`.

The prompts are encoded by the same functions as in the rollout, so that their token ids are the same.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from transformers import AutoTokenizer
from vllm import LLM, SamplingParams, TokensPrompt

from gsr_rl.episode import Episode, Problem, Response, read_episodes, write_episodes
from gsr_rl.generation.candidates import Judge, show
from gsr_rl.prompts import encode_prompt, shuffled_order
from gsr_rl.settings.gsr import Sampling
from gsr_rl.settings.sections import engine_arguments, gsr_config
from rewards.answers import extract_answer

# Problems that are sampled at a time: what an interrupt costs at most. Fewer would leave the engine's batch half empty.
PART = 128


def sample_in_parts(
    path: Path, problems: Sequence[Problem], sample: Callable[[Sequence[Problem], int], list[Episode]]
) -> list[Episode]:
    """Write the episodes of `problems` to `path`; a start after an interrupt keeps the parts that are whole.

    Args:
        sample: episodes of a part of the problems, given it and the index of its first.
    """
    parts = path.with_suffix(".parts")
    episodes: list[Episode] = []
    for first in range(0, len(problems), PART):
        part, file = problems[first : first + PART], parts / f"{first}.jsonl"
        done = read_episodes(file) if file.exists() else []
        if [one.id for one in done] != [one.id for one in part]:
            done = sample(part, first)
            write_episodes(file, done)
        episodes += done
        print(f"gsr-rl: {len(episodes)} of {len(problems)} problems sampled", flush=True)
    write_episodes(path, episodes)
    shutil.rmtree(parts)
    return episodes


class Sampler:
    """A model with the sampling of `gsr.validation`."""

    def __init__(self, config: DictConfig, model: str, judge: Judge) -> None:
        self.gsr = gsr_config(config)
        self.judge = judge
        self.prompt_length = int(config.actor_rollout_ref.rollout.prompt_length)
        self.chat_kwargs: dict[str, Any] = dict(config.data.apply_chat_template_kwargs)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        longest = self.prompt_length + self.gsr.max_response_tokens
        self.llm = LLM(model, **engine_arguments(config, longest))

    def close(self) -> None:
        """Give the device back: another model is to be loaded."""
        self.llm.llm_engine.engine_core.shutdown()

    def candidates(self, problems: Sequence[Problem], extra: int = 0) -> list[Episode]:
        """Episodes of K candidates each, and `extra` ones that no refiner will see."""
        k, prompts = self.gsr.k, self.gsr.prompts
        ids = [
            encode_prompt(self.tokenizer, prompts.messages(prompts.direct_prompt(one.problem)), **self.chat_kwargs)
            for one in problems
        ]
        sampling, max_tokens = self.gsr.validation.candidate, self.gsr.candidate_tokens
        responses = self._respond(problems, ids, k + extra, sampling, max_tokens)
        return [
            Episode(one.id, one.dataset, one.problem, one.gold, tuple(sampled[:k]), (), tuple(sampled[k:]))
            for one, sampled in zip(problems, responses, strict=True)
        ]

    def shown(self, episodes: Sequence[Episode]) -> list[tuple[Episode, list[int]]]:
        """Each episode with its candidates as the refiner sees them, and the token ids of the refinement prompt."""
        gsr = self.gsr
        return [
            show(
                episode,
                shuffled_order(gsr.k, gsr.seed, "eval", episode.id, "order"),
                gsr.prompts,
                self.tokenizer,
                self.prompt_length,
                self.chat_kwargs,
            )
            for episode in episodes
        ]

    def refine(self, episodes: Sequence[Episode]) -> list[Episode]:
        """The episodes as the refiner saw them, with their refinements."""
        shown, ids = zip(*self.shown(episodes), strict=True)
        problems = [Problem(one.id, one.dataset, one.problem, one.gold) for one in shown]
        validation, max_tokens = self.gsr.validation, self.gsr.refinement_tokens
        responses = self._respond(problems, ids, validation.m, validation.refinement, max_tokens)
        return [replace(episode, refinements=tuple(refined)) for episode, refined in zip(shown, responses, strict=True)]

    def refine_swapped(self, episodes: Sequence[Episode]) -> list[Episode]:
        """The episodes with refinements of the next one's candidates: what a refiner does that cannot use its own."""
        swapped = [
            replace(one, candidates=other.candidates)
            for one, other in zip(episodes, [*episodes[1:], *episodes[:1]], strict=True)
        ]
        refined = self.refine(swapped)
        return [
            replace(one, swapped_refinements=other.refinements) for one, other in zip(episodes, refined, strict=True)
        ]

    def _respond(
        self,
        problems: Sequence[Problem],
        ids: Sequence[list[int]],
        n: int,
        sampling: Sampling,
        max_tokens: int,
    ) -> list[list[Response]]:
        params = SamplingParams(
            n=n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=max_tokens,
        )
        requests = [TokensPrompt(prompt_token_ids=one) for one in ids]
        outputs = self.llm.generate(requests, params)
        return [
            [
                self._response(problem, one.text, len(one.token_ids), one.finish_reason == "length")
                for one in out.outputs
            ]
            for problem, out in zip(problems, outputs, strict=True)
        ]

    def _response(self, problem: Problem, text: str, n_tokens: int, cut_off: bool) -> Response:
        return Response(text, extract_answer(text), self.judge(problem, text), cut_off, n_tokens)
