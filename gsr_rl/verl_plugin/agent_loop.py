"""The two-stage rollout of one prompt: K candidates in parallel, then M refinements of that candidate set.

verl runs one loop a prompt, so that a prompt's refinements start as soon as its own candidates are in, whatever the
other prompts are doing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput
from verl.workers.rollout.replica import TokenOutput

from gsr_rl.episode import Response
from gsr_rl.metrics.voting import is_selected, majority_score
from gsr_rl.prompts import PromptTooLong, encode_prompt, fit_refine_prompt, shuffled_order
from gsr_rl.settings.gsr import GsrConfig, Sampling, from_mapping
from rewards.answers import extract_answer

CANDIDATE, REFINEMENT = "candidate", "refinement"


@dataclass(frozen=True)
class RolloutContext:
    """What the worker knows and the loop needs: verl itself tells a loop neither."""

    validate: bool
    step: int
    judge: Callable[[AgentLoopOutput, Mapping[str, Any]], Awaitable[None]]


class GsrAgentLoop(AgentLoopBase):
    """Returns a prompt's rows, candidates first. Each row's `extra_fields` hold its stage and its judged `Response`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gsr = from_mapping(GsrConfig, self.config.gsr, "gsr")

    async def run(
        self, sampling_params: dict[str, Any], *, context: RolloutContext, **row: Any
    ) -> list[AgentLoopOutput]:
        gsr, prompts = self.gsr, self.gsr.prompts
        problem = row["raw_prompt"][-1]["content"]
        # uid is new at every step; the row's own id and the step make the draws reproducible.
        key = (gsr.seed, context.step, row["index"], row["session_id"])

        direct = encode_prompt(
            self.tokenizer, prompts.messages(prompts.direct_prompt(problem)), **self.apply_chat_template_kwargs
        )
        candidates = await self._stage(CANDIDATE, gsr.k, direct, sampling_params, context, row)
        if not self._goes_on(candidates, context, key):
            return candidates

        order = shuffled_order(gsr.k, *key, "order")
        shown = [candidates[i].extra_fields["response"] for i in order]
        refine, texts = fit_refine_prompt(
            prompts,
            problem,
            [(one.text, one.cut_off) for one in shown],
            self.tokenizer,
            self.rollout_config.prompt_length,
            self.apply_chat_template_kwargs,
        )
        for i, text in zip(order, texts, strict=True):
            candidates[i].extra_fields["shown"] = text
        m = gsr.validation.m if context.validate else gsr.training_m
        refinements = await self._stage(REFINEMENT, m, refine, sampling_params, context, row)
        return [candidates[i] for i in order] + refinements

    def _goes_on(self, candidates: list[AgentLoopOutput], context: RolloutContext, key: tuple[Any, ...]) -> bool:
        """Validation refines every set; in training, what is skipped costs no generation."""
        gsr = self.gsr
        if context.validate:
            return True
        if gsr.training_m == 0:
            return False
        responses: list[Response] = [one.extra_fields["response"] for one in candidates]
        majority = majority_score([one.answer for one in responses], [one.correct for one in responses])
        rng = random.Random(repr((*key, "selection")))
        return is_selected(gsr.selection, majority, gsr.easy_probability, rng)

    async def _stage(
        self,
        stage: str,
        n: int,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        context: RolloutContext,
        row: Mapping[str, Any],
    ) -> list[AgentLoopOutput]:
        limit = self.rollout_config.prompt_length
        if len(prompt_ids) > limit:  # verl would cut its beginning off, and with it the problem
            raise PromptTooLong(f"{stage} prompt of {len(prompt_ids)} tokens; {limit} fit")
        max_tokens = self.gsr.candidate_tokens if stage == CANDIDATE else self.gsr.refinement_tokens
        params = {**sampling_params, "max_tokens": max_tokens}
        if context.validate:
            sampling: Sampling = getattr(self.gsr.validation, stage)
            params |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        async with asyncio.TaskGroup() as group:  # one that fails takes its siblings with it
            tasks = [group.create_task(self._respond(stage, prompt_ids, dict(params), context, row)) for _ in range(n)]
        return [task.result() for task in tasks]

    async def _respond(
        self,
        stage: str,
        prompt_ids: list[int],
        params: dict[str, Any],
        context: RolloutContext,
        row: Mapping[str, Any],
    ) -> AgentLoopOutput:
        max_tokens = params["max_tokens"]  # the server takes it out of the dict
        generated: TokenOutput = await self.server_manager.generate(
            request_id=uuid4().hex, prompt_ids=prompt_ids, sampling_params=params
        )
        output = to_output(stage, prompt_ids, generated, self.tokenizer.eos_token_id)
        await context.judge(output, row)
        text = self.tokenizer.decode(generated.token_ids, skip_special_tokens=True)
        n_tokens = len(generated.token_ids)
        cut_off = n_tokens >= max_tokens and generated.token_ids[-1] != self.tokenizer.eos_token_id
        output.extra_fields["response"] = Response(
            text=text,
            answer=extract_answer(text),
            correct=is_correct(output),
            cut_off=cut_off,
            n_tokens=n_tokens,
        )
        if cut_off and not context.validate and not self.gsr.score_cut_off:
            output.reward_score = min(output.reward_score or 0.0, 0.0)
        return output


def to_output(stage: str, prompt_ids: list[int], generated: TokenOutput, eos_token_id: int) -> AgentLoopOutput:
    """verl's row of one response. An empty response becomes one end-of-sequence token: verl cannot store none."""
    token_ids = list(generated.token_ids) or [eos_token_id]
    log_probs = generated.log_probs if generated.token_ids else [0.0]
    return AgentLoopOutput(
        prompt_ids=prompt_ids,
        response_ids=token_ids,
        response_mask=[1] * len(token_ids),
        response_logprobs=list(log_probs) if log_probs is not None else None,
        num_turns=2,
        metrics=AgentLoopMetrics(),
        extra_fields={
            "stage": stage,
            "min_global_steps": generated.extra_fields.get("min_global_steps"),
            "max_global_steps": generated.extra_fields.get("max_global_steps"),
        },
    )


def is_correct(output: AgentLoopOutput) -> bool:
    """A response is correct where the reward function's `acc` (its score, if it has none) is above one half."""
    info: dict[str, Any] = output.extra_fields.get("reward_extra_info") or {}
    return float(info.get("acc", output.reward_score or 0.0)) > 0.5
