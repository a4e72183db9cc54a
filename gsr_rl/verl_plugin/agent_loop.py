"""The two-stage rollout of one prompt: K candidates in parallel, then M refinements of that candidate set.

verl runs one loop per prompt. A prompt's refinements start as soon as its own candidates are there, whatever the other
prompts are doing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput
from verl.workers.rollout.replica import TokenOutput

from data_prep.extra_info import rollout_problem
from gsr_rl.endings import closed_thought, end_tokens, is_in_thought, opens_thought
from gsr_rl.episode import Response, Verdict
from gsr_rl.metrics.logged import CANDIDATE, REFINEMENT
from gsr_rl.metrics.voting import is_selected, majority_score_of
from gsr_rl.prompts import PromptTooLong, encode_prompt, fit_refine_prompt, problem_of, shuffled_order
from gsr_rl.settings.gsr import Gsr, Sampling
from gsr_rl.verl_plugin import reward
from gsr_rl.verl_plugin.plain import plain


@dataclass(frozen=True)
class RolloutContext:
    """What the worker knows and the loop needs. verl itself does not hand it on.

    `judge` scores a response of the row that it is given, and writes the result into the response's output.
    """

    validate: bool
    step: int
    judge: Callable[[AgentLoopOutput, Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Sample:
    """A sampled response, before its verdict.

    Args:
        output: verl's row of the response. The judge writes the reward and the judged `Response` into it.
        text: the decoded response.
        cut_off: whether the token limit, or an abort, ended it.
        in_thought: whether the token limit cut it off within its thought, so that it has no answer.
        n_tokens: generated tokens.
    """

    output: AgentLoopOutput
    text: str
    cut_off: bool
    in_thought: bool
    n_tokens: int


# A sample, and the task that judges it.
Judging = tuple[Sample, asyncio.Task[None]]


class GsrAgentLoop(AgentLoopBase):
    """verl's agent loop for the two stages of GSR.

    Key differences from verl's `SingleTurnAgentLoop`:

    - A prompt gets k candidates, then m refinements of that candidate set: one row for each, where verl's loop gives
      one row per prompt.
    - The row's messages hold the bare problem; the templates of `gsr.prompts` go around it.
    - Each stage has its own token limit and, in validation, its own sampling.
    - A response is judged at once. Refinements wait for the verdicts of their candidates only if `gsr.selection` looks
      at them. `extra_fields` of a row hold its stage and its judged `Response`.
    - The requests of a prompt and stage share an id, so that verl sends them to one replica, which prefills their
      prompt once. Refinements go before candidates where requests queue (`rollout.scheduling_policy=priority`).
    - A prompt that is too long is an error. verl would cut off its beginning, and with it the problem.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gsr = Gsr.of(plain(self.config.gsr), "gsr")

    async def run(
        self, sampling_params: dict[str, Any], *, context: RolloutContext, **row: Any
    ) -> list[AgentLoopOutput]:
        """One prompt through both stages.

        The problem is the row's last user message (`gsr_rl.prompts.problem_of`). If the row has a system message, that
        takes the place of `gsr.prompts.system` in the prompts of both stages: the row's was written for this problem,
        the recipe's for all. SFT and the evaluations outside of training know a problem by its text alone, and always
        use the recipe's.

        Args:
            sampling_params: verl's, for this prompt.
            row: a row of verl's dataset with `raw_prompt`, `data_source`, `reward_model` and `session_id`, and perhaps
                `extra_info`; `context.judge` reads the rest.

        Returns:
            Candidates in the order in which the refiner saw them, then refinements. Without refinements the candidates
            are in the order in which they were sampled.

        Raises:
            PromptTooLong: a stage's prompt exceeds `rollout.prompt_length` tokens.
            UsageError: the row has no user message.
            ExceptionGroup: of the errors of failed requests.
        """
        gsr = self.gsr
        problem, system = problem_of(row["raw_prompt"])
        prompts = gsr.prompts.with_system(system)
        # verl draws a new uid at every step. The problem and the step make draws reproducible. (An index would not do:
        # rows without an index all have 0 here, and files that are read together may count alike.)
        own = rollout_problem(row)
        key = (gsr.seed, context.step, own.dataset, own.id, row["session_id"])

        direct = encode_prompt(self.tokenizer, prompts.direct_messages(problem), **self.apply_chat_template_kwargs)
        candidates = await self._stage(CANDIDATE, gsr.k, direct, sampling_params, context, row)
        if not await self._is_refined(candidates, context, key):
            return await _judged(candidates)

        candidates = [candidates[i] for i in shuffled_order(gsr.k, *key, "order")]
        refine, texts = fit_refine_prompt(
            prompts,
            problem,
            [(sample.text, sample.cut_off) for sample, _ in candidates],
            self.tokenizer,
            self.rollout_config.prompt_length,
            self.apply_chat_template_kwargs,
        )
        for (sample, _), text in zip(candidates, texts, strict=True):
            sample.output.extra_fields["shown"] = text
        m = gsr.validation.m if context.validate else gsr.training_m
        refinements = await self._stage(REFINEMENT, m, refine, sampling_params, context, row)
        return await _judged(candidates + refinements)

    async def _is_refined(self, candidates: list[Judging], context: RolloutContext, key: tuple[Any, ...]) -> bool:
        """Whether the candidate set is refined: in validation every set, in training those of `gsr.selection`."""
        gsr = self.gsr
        if context.validate:
            return True
        if gsr.training_m == 0:
            return False
        if gsr.selection == "all":
            return True  # without waiting for verdicts
        responses: list[Response] = [output.extra_fields["response"] for output in await _judged(candidates)]
        majority = majority_score_of(responses)
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
    ) -> list[Judging]:
        """Sample n responses to a prompt. Each is judged as soon as it is there."""
        limit = self.rollout_config.prompt_length
        if len(prompt_ids) > limit:
            raise PromptTooLong(f"{stage} prompt of {len(prompt_ids)} tokens; {limit} fit")
        params = sampling_params | {"max_tokens": self._max_tokens(stage)}
        if context.validate:
            sampling: Sampling = getattr(self.gsr.validation, stage)
            params |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        request_id = uuid4().hex

        async def respond() -> Judging:
            sample = await self._sample(stage, request_id, prompt_ids, dict(params))
            return sample, asyncio.create_task(self._judge(sample, context, row))

        async with asyncio.TaskGroup() as group:  # a request that fails cancels the others
            tasks = [group.create_task(respond()) for _ in range(n)]
        return [task.result() for task in tasks]

    def _max_tokens(self, stage: str) -> int:
        return self.gsr.candidate_tokens if stage == CANDIDATE else self.gsr.refinement_tokens

    async def _sample(self, stage: str, request_id: str, prompt_ids: list[int], params: dict[str, Any]) -> Sample:
        # vLLM takes a smaller number first, and refuses numbers under its other policy.
        first = stage == REFINEMENT and self.rollout_config.scheduling_policy == "priority"
        generated: TokenOutput = await self.server_manager.generate(
            request_id=request_id, prompt_ids=prompt_ids, sampling_params=params, **({"priority": -1} if first else {})
        )
        token_ids = generated.token_ids
        text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        cut_off = generated.stop_reason == "aborted" or self._is_cut_off(token_ids, self._max_tokens(stage))
        in_thought = cut_off and is_in_thought(text, opens_thought(self.tokenizer, prompt_ids))
        return Sample(
            output=to_output(stage, prompt_ids, generated, self.tokenizer.eos_token_id),
            text=closed_thought(text) if in_thought else text,
            cut_off=cut_off,
            in_thought=in_thought,
            n_tokens=len(token_ids),
        )

    async def _judge(self, sample: Sample, context: RolloutContext, row: Mapping[str, Any]) -> None:
        output = sample.output
        await context.judge(output, row)
        # Nothing of a thought counts as an answer, whatever the reward function found in it.
        judged = Verdict(correct=False, answer=None) if sample.in_thought else verdict(output)
        response = Response.of(sample.text, judged, cut_off=sample.cut_off, n_tokens=sample.n_tokens)
        output.extra_fields["response"] = response
        unscored = sample.cut_off and not context.validate and not self.gsr.score_cut_off
        if sample.in_thought or unscored:
            output.reward_score = min(output.reward_score or 0.0, 0.0)

    def _is_cut_off(self, token_ids: Sequence[int], max_tokens: int) -> bool:
        ends = end_tokens(self.tokenizer, OmegaConf.select(self.config, "actor_rollout_ref.model.path"))
        return len(token_ids) >= max_tokens and (not token_ids or token_ids[-1] not in ends)


async def _judged(samples: list[Judging]) -> list[AgentLoopOutput]:
    """The samples' rows, in order, when all are judged."""
    await asyncio.gather(*(judging for _, judging in samples))
    return [sample.output for sample, _ in samples]


def to_output(stage: str, prompt_ids: list[int], generated: TokenOutput, eos_token_id: int) -> AgentLoopOutput:
    """verl's row of one response. An empty response becomes one end-of-sequence token: verl cannot store it empty."""
    token_ids = list(generated.token_ids) or [eos_token_id]
    log_probs = generated.log_probs if generated.token_ids else [0.0]
    return AgentLoopOutput(
        prompt_ids=prompt_ids,
        response_ids=token_ids,
        response_mask=[1] * len(token_ids),
        response_logprobs=list(log_probs) if log_probs is not None else None,
        num_turns=reward.TURNS,
        metrics=AgentLoopMetrics(),
        extra_fields={
            "stage": stage,
            "min_global_steps": generated.extra_fields.get("min_global_steps"),
            "max_global_steps": generated.extra_fields.get("max_global_steps"),
        },
    )


def is_correct(output: AgentLoopOutput) -> bool:
    """Whether a judged response is correct: by the reward function's `acc`, else by the row's reward."""
    return bool(verdict(output))


def verdict(output: AgentLoopOutput) -> bool | Verdict:
    """`is_correct`, with the response's answer if the reward function gave one."""
    info: dict[str, Any] = output.extra_fields.get("reward_extra_info") or {}
    return reward.verdict({**info, "score": output.reward_score or 0.0})
