"""Samples on fixed prompts, to compare vLLM's weights with the actor's after the first weight sync."""

import asyncio
from typing import Any
from uuid import uuid4

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from gsr_rl.episode import Response
from gsr_rl.metrics.logged import CANDIDATE
from gsr_rl.prompts import encode_prompt
from gsr_rl.verl_plugin.agent_loop import to_output
from gsr_rl.verl_plugin.worker import to_field, to_tag

PARTITION = "guard"
_PROMPTS = ("What is 2 + 3?", "Name the capital of France.", "Write a short poem about the sea.", "1, 2, 4, 8,")
_TOKENS = 32


def put_samples(client: Any, tokenizer: Any, temperature: float) -> KVBatchMeta:
    """Sample a response to each fixed prompt, and put the rows, with vLLM's log-probs, into a partition of their own.

    Args:
        client: verl's client of its vLLM servers.
        temperature: of the rollout, at which verl computes the actor's log-probs.
    """
    sampling = {"temperature": temperature, "top_p": 1.0, "top_k": -1, "logprobs": True, "max_tokens": _TOKENS}
    prompts = [encode_prompt(tokenizer, [{"role": "user", "content": text}]) for text in _PROMPTS]

    async def generate() -> list[Any]:
        return await asyncio.gather(
            *(client.generate(uuid4().hex, prompt_ids=ids, sampling_params=dict(sampling)) for ids in prompts)
        )

    generated = zip(prompts, asyncio.run(generate()), strict=True)
    rows = [to_output(CANDIDATE, ids, output, tokenizer.eos_token_id) for ids, output in generated]
    for row in rows:
        row.reward_score = 0.0
        row.extra_fields["response"] = Response(text="", answer=None, correct=False)
    return tq.kv_batch_put(
        keys=[f"guard_{i}_0" for i in range(len(rows))],
        fields=list_of_dict_to_tensordict([to_field(row, {"uid": "guard"}) for row in rows]),
        tags=[to_tag(row, 0) for row in rows],
        partition_id=PARTITION,
    )
