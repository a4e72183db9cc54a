"""Agent-loop worker and manager: verl's own, with each stage stored as a GRPO group of its own."""

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import ray
import torch
import transfer_queue as tq
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from gsr_rl.episode import Episode, Response
from gsr_rl.verl_plugin.agent_loop import CANDIDATE, REFINEMENT, RolloutContext

logger = logging.getLogger(__name__)

FAILED = "failed"


# AgentLoopWorkerTQ is a Ray actor class already, and those cannot be inherited from: its plain class can.
class GsrAgentLoopWorker(AgentLoopWorkerTQ.__ray_metadata__.modified_class):
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
            # A bad rollout is data: the trainer counts the row and leaves it out. verl would drop the prompt silently,
            # and end the run if none is left.
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
        """Score one response with verl's reward loop. A reward that fails on it is counted, and scores 0."""
        try:
            await self._compute_score([output], kwargs=dict(row))
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
        """Store a prompt's rows. Training: every row is a session of its own (key `{uid}_{i}_0`), and the field `uid`
        names prompt and stage, so that verl's own GRPO advantage takes each stage as one group. Validation: verl's own
        layout, one session an episode, with the episode in the last row's reward info."""
        kwargs.pop("context", None)
        outputs = output if isinstance(output, list) else [output]
        if validate:
            info = {"episode": None, "acc": 0.0}
            if outputs[-1].extra_fields["stage"] != FAILED:
                episode = to_episode(outputs, kwargs)
                acc = sum(one.correct for one in episode.refinements) / len(episode.refinements)
                info = {"episode": json.dumps(episode.to_dict()), "acc": acc}
            outputs[-1].extra_fields["reward_extra_info"] = info
            await super()._agent_loop_postprocess(outputs, validate, **kwargs)
            return
        await tq.async_kv_batch_put(
            keys=[f"{kwargs['uid']}_{i}_0" for i in range(len(outputs))],
            fields=list_of_dict_to_tensordict([to_field(one, kwargs) for one in outputs]),
            tags=[to_tag(one, kwargs["global_steps"]) for one in outputs],
            partition_id="train",
        )


def to_field(output: AgentLoopOutput, row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the queue, as verl's AgentLoopWorkerTQ writes it for text, with our group id and stage."""
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
    """verl's tag of a row, and what the trainer needs for metrics without fetching the row."""
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
    """What the reward function says beside score and acc, such as why a response scored 0: its numbers, as reward/*."""
    info: dict[str, Any] = output.extra_fields.get("reward_extra_info") or {}
    return {
        f"reward/{key}": float(value)
        for key, value in info.items()
        if key not in ("score", "acc") and isinstance(value, int | float) and math.isfinite(value)
    }


def to_episode(outputs: list[AgentLoopOutput], row: Mapping[str, Any]) -> Episode:
    """The episode of a prompt, candidates as the refiner saw them."""
    by_stage: dict[str, list[Response]] = {CANDIDATE: [], REFINEMENT: []}
    for one in outputs:
        response: Response = one.extra_fields["response"]
        if "shown" in one.extra_fields:
            response = Response(**{**vars(response), "text": one.extra_fields["shown"]})
        by_stage[one.extra_fields["stage"]].append(response)
    info = row.get("extra_info") or {}
    return Episode(
        id=str(info.get("id", row["index"])),
        dataset=str(row["data_source"]),
        problem=row["raw_prompt"][-1]["content"],
        gold=str(row["reward_model"]["ground_truth"]),
        candidates=tuple(by_stage[CANDIDATE]),
        refinements=tuple(by_stage[REFINEMENT]),
    )


class GsrAgentLoopManager(AgentLoopManagerTQ):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class = ray.remote(GsrAgentLoopWorker)
