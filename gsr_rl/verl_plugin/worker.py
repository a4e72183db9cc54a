"""Agent-loop worker and manager: verl's own, but each stage of a prompt is stored as a GRPO group of its own."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ray
import torch
import transfer_queue as tq
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from data_prep.extra_info import rollout_problem
from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.logged import CANDIDATE, FAILED, REFINEMENT
from gsr_rl.verl_plugin.agent_loop import RolloutContext

logger = logging.getLogger(__name__)


# AgentLoopWorkerTQ is a Ray actor class, which cannot be inherited from; its plain class can.
class GsrAgentLoopWorker(AgentLoopWorkerTQ.__ray_metadata__.modified_class):
    """verl's agent-loop worker for rows of two stages.

    Key differences from verl's `AgentLoopWorkerTQ`:

    - The loop is told the step, whether it validates, and how a response is judged (`RolloutContext`): a response has
      to be judged before its prompt's refinements start.
    - A failed episode becomes one marked row, which the trainer counts and leaves out. verl drops such a prompt, and
      ends the run if none is left.
    - A reward function that fails on a response gives it reward 0 and is counted. In verl the whole prompt fails.
    - In training each row is a session of its own, and its `uid` names prompt and stage, so that verl's GRPO takes each
      stage as one group. Tags hold what the trainer's metrics need.
    - In validation the last row carries the whole episode to the trainer.
    """

    async def _run_agent_loop(
        self,
        sampling_params: dict[str, Any],
        trajectory: dict[str, Any],
        *,
        agent_name: str,
        trace: bool,
        **kwargs: Any,
    ) -> None:
        context = RolloutContext(trajectory["validate"], int(trajectory["step"]), self._judge)
        try:
            await super()._run_agent_loop(
                sampling_params, trajectory, agent_name=agent_name, trace=trace, context=context, **kwargs
            )
        except Exception:
            # The trainer counts the failed row and leaves it out. verl would drop the prompt silently, and end the run
            # if no prompt is left.
            logger.exception("gsr-rl: episode of prompt %s failed", kwargs["index"])
            outputs = [self._failed_row()]
            await self._agent_loop_postprocess(outputs, trajectory["validate"], **kwargs)

    def _failed_row(self) -> AgentLoopOutput:
        eos = self.tokenizer.eos_token_id
        return AgentLoopOutput(
            prompt_ids=[eos],
            response_ids=[eos],
            response_mask=[0],
            response_logprobs=[0.0],
            reward_score=0.0,
            num_turns=0,
            metrics=AgentLoopMetrics(),
            extra_fields={
                "stage": FAILED,
                "response": Response(text="", answer=None, correct=False),
                "min_global_steps": 0,
                "max_global_steps": 0,
            },
        )

    async def _judge(self, output: AgentLoopOutput, row: Mapping[str, Any]) -> None:
        """Score one response with verl's reward loop. If that fails, the response scores 0 and the failure is noted."""
        try:
            # With the id that the row perhaps lacks, as the reward function gets it in `eval` and `teach`.
            info = dict(rollout_problem(row).extra_info)
            await self._compute_score([output], kwargs={**row, "extra_info": info})
            failed = output.reward_score is None or not math.isfinite(output.reward_score)
        except Exception:
            logger.exception("gsr-rl: the reward function failed on a response of prompt %s", row["index"])
            failed = True
        output.extra_fields["reward_failed"] = failed
        if failed:
            output.reward_score = 0.0
            output.extra_fields["reward_extra_info"] = {}

    async def _agent_loop_postprocess(
        self, output: AgentLoopOutput | list[AgentLoopOutput], validate: bool, **kwargs: Any
    ) -> None:
        """Store a prompt's rows.

        In training every row is a session of its own (key `{uid}_{i}_0`), and the field `uid` names prompt and stage.
        verl's own GRPO advantage then takes each stage as a group. In validation the layout is verl's own (a session is
        an episode), with the episode in the last row's reward info.
        """
        kwargs.pop("context", None)
        outputs = output if isinstance(output, list) else [output]
        if validate:
            info = {"episode": None, "acc": 0.0}
            if outputs[-1].extra_fields["stage"] != FAILED:
                episode = to_episode(outputs, kwargs)
                acc = sum(refinement.correct for refinement in episode.refinements) / len(episode.refinements)
                info = {"episode": json.dumps(episode.to_dict()), "acc": acc}
            outputs[-1].extra_fields["reward_extra_info"] = info
            await super()._agent_loop_postprocess(outputs, validate, **kwargs)
            return
        await tq.async_kv_batch_put(
            keys=[f"{kwargs['uid']}_{i}_0" for i in range(len(outputs))],
            fields=list_of_dict_to_tensordict([to_field(output, kwargs) for output in outputs]),
            tags=[to_tag(output, kwargs["global_steps"]) for output in outputs],
            partition_id="train",
        )


def to_field(output: AgentLoopOutput, row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the queue, as verl's AgentLoopWorkerTQ writes it for text, with our group id and stage.

    Args:
        row: of the prompt, with its `uid`; all of its keys are kept.

    Returns:
        The columns of the row. `prompts`, `responses`, `response_mask` and `loss_mask` are (tokens,); `input_ids` and
        `position_ids` are (tokens of prompt and response,); `is_refinement` is a scalar, 0 or 1.
    """
    stage = output.extra_fields["stage"]
    prompts = torch.tensor(output.prompt_ids, dtype=torch.int64)
    responses = torch.tensor(output.response_ids, dtype=torch.int64)
    input_ids = torch.cat([prompts, responses])
    field = output.as_dict() | dict(row)
    field.pop("multi_modal_data", None)
    field |= {
        "uid": f"{row['uid']}:{stage}",
        "loss_mask": field["response_mask"],
        "input_ids": input_ids,
        "position_ids": torch.arange(len(input_ids), dtype=torch.int64),
        "multi_modal_inputs": {},
        "is_refinement": torch.tensor(int(stage == REFINEMENT)),
    }
    return field


def to_tag(output: AgentLoopOutput, global_steps: int) -> dict[str, Any]:
    """verl's tag of a row, and what the trainer needs for its metrics. Reading a tag does not fetch the row.

    Lengths are in tokens.
    """
    extra = output.extra_fields
    response: Response = extra["response"]
    prompt_len, response_len = len(output.prompt_ids), len(output.response_ids)
    return {
        "status": "success",
        "prompt_len": prompt_len,
        "response_len": response_len,
        "seq_len": prompt_len + response_len,
        "global_steps": global_steps,
        "min_global_steps": extra["min_global_steps"],
        "max_global_steps": extra["max_global_steps"],
        "stage": extra["stage"],
        "reward": output.reward_score,
        "reward_failed": extra.get("reward_failed", False),
        "correct": response.correct,
        "cut_off": response.cut_off,
        "no_answer": response.answer is None,
        **reward_info(output),
    }


def reward_info(output: AgentLoopOutput) -> dict[str, float]:
    """The finite numbers that the reward function returned beside `score`, `acc` and `answer`, as `reward/<name>`.

    They may say why a response scored 0.
    """
    info: dict[str, Any] = output.extra_fields.get("reward_extra_info") or {}
    return {
        f"reward/{key}": float(value)
        for key, value in info.items()
        if key not in ("score", "acc", "answer") and isinstance(value, int | float) and math.isfinite(value)
    }


def to_episode(outputs: list[AgentLoopOutput], row: Mapping[str, Any]) -> Episode:
    """The episode of a prompt, with the candidates' texts and order as the refiner saw them.

    Args:
        outputs: the prompt's rows as `GsrAgentLoop.run` returns them.
        row: of the prompt, as verl's dataset makes it.
    """
    by_stage: dict[str, list[Response]] = {CANDIDATE: [], REFINEMENT: []}
    for output in outputs:
        response: Response = output.extra_fields["response"]
        if "shown" in output.extra_fields:
            response = replace(response, text=output.extra_fields["shown"])
        by_stage[output.extra_fields["stage"]].append(response)
    return Episode.of(rollout_problem(row), by_stage[CANDIDATE], refinements=by_stage[REFINEMENT])


class GsrAgentLoopManager(AgentLoopManagerTQ):
    """verl's agent-loop manager. Key difference from verl's: its workers are `GsrAgentLoopWorker`s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class = ray.remote(GsrAgentLoopWorker)
