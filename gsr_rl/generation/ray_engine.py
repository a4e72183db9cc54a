"""`teach.engine=ray`: requests are answered by Ray Data's vLLM integration, by replicas over the nodes of a cluster."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from omegaconf import DictConfig

from gsr_rl.errors import UsageError
from gsr_rl.generation.cluster import check_replicas, connected
from gsr_rl.generation.requests import Answer, Request, split_thinking
from gsr_rl.settings.served import Served

OVERLAPPING = 8  # batches at a time in a replica, so that it does not run dry while one ends
MOST_BLOCKS = 10_000  # Ray's bookkeeping grows with them
ERROR = "__inference_error__"  # Ray's column, empty where all went well


def replicas(config: DictConfig, served: Served, engine: Mapping[str, Any]) -> int:
    """How many of the model there will be, on the cluster that is `connected`.

    Raises:
        UsageError: the cluster has no room for so many; says how many it has room for.
    """
    return check_replicas(config, "teach.replicas", config.teach.replicas, _size({**engine, **served.engine}))


def sample(
    config: DictConfig, engine: Mapping[str, Any], served: Served, requests: Sequence[Request]
) -> Iterator[Sequence[tuple[str, Answer | str]]]:
    """A `gsr_rl.generation.rounds.Sample`: Ray and the replicas run for as long as it takes.

    Ray starts a replica anew that dies, and does its batches again.

    Args:
        engine: arguments of the engine, below those of `served`.

    Raises:
        UsageError: the engine cannot start, or Ray gives up; says why.
    """
    import ray.data
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig
    from ray.exceptions import RayError

    arguments = {key: value for key, value in {**engine, **served.engine}.items() if value is not None}
    batch = math.ceil(served.concurrency / OVERLAPPING)
    on_cpu = config.trainer.device == "cpu"
    rows = [{"key": one.key, "request": _text(one)} for one in requests]
    by_key = {one.key: one for one in requests}
    ends = _end_tokens(str(served.model))
    with connected(config):
        ray.data.DataContext.get_current().enable_progress_bars = False
        count = replicas(config, served, engine)
        settings = vLLMEngineProcessorConfig(
            model_source=str(served.model),
            engine_kwargs=arguments,
            # Prompts come as token ids: Ray's tokenizer stage puts a second BOS before what a template begins with.
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            batch_size=batch,
            max_concurrent_batches=OVERLAPPING,
            concurrency=(1, count),
            should_continue_on_error=True,
            # vLLM's metrics for Ray import ray.serve, whose packages are not there without Ray's extra `serve`.
            log_engine_metrics=False,
            placement_group_config={"bundles": [{"CPU": 1}] * _size(arguments)} if on_cpu else None,
        )
        # A block that is done is on its way to the journal: no larger than need be.
        blocks = min(math.ceil(len(rows) / batch), MOST_BLOCKS)
        # As many processes that encode as replicas: one on every free CPU would take the memory of a model each.
        encode = {"preprocess": partial(_encoded, str(served.model)), "preprocess_map_kwargs": {"concurrency": count}}
        processor = build_processor(settings, **encode)
        try:
            answered = processor(ray.data.from_items(rows, override_num_blocks=blocks))
            tables: Any = answered.iter_batches(batch_size=None, batch_format="pyarrow")
            for block in tables:
                read = block.select([name for name in _COLUMNS if name in block.column_names]).to_pylist()
                yield [(row["key"], _answer(row, by_key[row["key"]], arguments, ends)) for row in read]
        except RayError as error:
            reason = str(error).strip().rpartition("\n")[2]
            mend = "what was answered stays, and the same command goes on from there"
            raise UsageError(f"vLLM {served.model} on Ray: {reason}; {mend}") from None


_COLUMNS = ("key", "generated_text", "generated_tokens", "num_input_tokens", ERROR)


def _size(engine: Mapping[str, Any]) -> int:
    """GPUs of a replica."""
    return int(engine.get("tensor_parallel_size") or 1) * int(engine.get("pipeline_parallel_size") or 1)


def _text(request: Request) -> str:
    """What `_encoded` needs of a request. As text, since Ray would make one type of all rows' parameters."""
    parameters = {**request.parameters, "seed": request.seed}
    template = parameters.pop("chat_template_kwargs", {})
    return json.dumps({"messages": request.prompt, "template": template, "parameters": parameters})


def _encoded(model: str, row: dict[str, Any]) -> dict[str, Any]:
    """In a process of Ray's: the engine's row of a request, its prompt encoded as a server does it."""
    from gsr_rl.prompts import encode_prompt

    request = json.loads(row["request"])
    ids = encode_prompt(_tokenizer(model), request["messages"], **request["template"])
    return {"key": row["key"], "tokenized_prompt": ids, "sampling_params": request["parameters"]}


@cache
def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def _end_tokens(model: str) -> set[int | None]:
    """By which vLLM ends a response."""
    from vllm.transformers_utils.config import try_get_generation_config

    generation = try_get_generation_config(model, trust_remote_code=False)
    own = getattr(generation, "eos_token_id", None)
    return {_tokenizer(model).eos_token_id, *(own if isinstance(own, list) else [own])}


def _answer(row: Mapping[str, Any], request: Request, engine: Mapping[str, Any], ends: set[int | None]) -> Answer | str:
    """As the server would give it. Ray leaves out why a response ended, which its length and last token tell."""
    if row.get(ERROR):
        return str(row[ERROR])
    tokens: list[int] = row["generated_tokens"]
    asked, length = request.parameters["max_tokens"], row["num_input_tokens"] + len(tokens)
    full = len(tokens) >= asked or length >= engine["max_model_len"]
    thinking, text = split_thinking(row["generated_text"])
    return Answer(text, thinking, full and tokens[-1] not in ends, row["num_input_tokens"], len(tokens))
