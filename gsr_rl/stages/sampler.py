"""Sampling whole episodes from a model with vLLM's own engine, outside of training: for `teach` and `eval`.

The prompts are encoded by the same functions as in the rollout, so that their token ids are the same.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer
from vllm import LLM, SamplingParams, TokensPrompt

from gsr_rl.config import GsrConfig, Sampling, from_mapping
from gsr_rl.episode import Episode, Problem, Response, read_episodes, write_episodes
from gsr_rl.prompts import encode_prompt, fit_refine_prompt, shuffled_order
from rewards.answers import extract_answer

Judge = Callable[[Problem, str], bool]

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
        self.gsr = from_mapping(GsrConfig, OmegaConf.to_container(config.gsr, resolve=True), "gsr")  # pyright: ignore
        self.judge = judge
        rollout = config.actor_rollout_ref.rollout
        self.prompt_length = int(rollout.prompt_length)
        self.chat_kwargs: dict[str, Any] = dict(config.data.apply_chat_template_kwargs)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        engine: dict[str, Any] = {
            "max_model_len": self.prompt_length + self.gsr.max_response_tokens,
            "max_num_seqs": rollout.max_num_seqs,
            "tensor_parallel_size": rollout.tensor_model_parallel_size,
            "gpu_memory_utilization": 0.9,
            "dtype": rollout.dtype,
            "enforce_eager": rollout.enforce_eager,
            "seed": self.gsr.seed,
        }
        if os.environ.get("VERL_PLATFORM") == "cpu":
            # Processes of the engine's own would only compete with its threads for the cores: half the speed on two.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        self.llm = LLM(model, **{**engine, **OmegaConf.to_container(config.eval.engine, resolve=True)})  # pyright: ignore

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
        shown = []
        for episode in episodes:
            order = shuffled_order(self.gsr.k, self.gsr.seed, "eval", episode.id, "order")
            ordered = [episode.candidates[i] for i in order]
            ids, texts = fit_refine_prompt(
                self.gsr.prompts,
                episode.problem,
                [(one.text, one.cut_off) for one in ordered],
                self.tokenizer,
                self.prompt_length,
                self.chat_kwargs,
            )
            seen = tuple(replace(one, text=text) for one, text in zip(ordered, texts, strict=True))
            shown.append((replace(episode, candidates=seen), ids))
        return shown

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
