"""`generation.backend=ray`: replicas of a model over the nodes of a cluster, by Ray Data's vLLM integration."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from gsr_rl.endings import end_tokens
from gsr_rl.errors import UsageError
from gsr_rl.generation.cluster import check_replicas, connected
from gsr_rl.generation.requests import Answer, Request, answer_of
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Settings

OVERLAPPING = 8  # batches in flight in a replica, so that it does not run dry while one ends
MOST_BLOCKS = 10_000  # Ray's bookkeeping grows with the number of blocks
ERROR = "__inference_error__"  # Ray's column, empty where all went well
_COLUMNS = ("key", "generated_text", "generated_tokens", "num_input_tokens", ERROR)


@dataclass(frozen=True)
class RayReplicas:
    """A model on the cluster.

    Args:
        engine: arguments of the engine, on top of which `served.engine` comes.
    """

    settings: Settings
    served: Served
    engine: Mapping[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of each replica's engine."""
        return {name: value for name, value in {**self.engine, **self.served.engine}.items() if value is not None}

    @property
    def size(self) -> int:
        """GPUs of a replica."""
        tensor, pipeline = (self.arguments.get(f"{kind}_parallel_size") or 1 for kind in ("tensor", "pipeline"))
        return int(tensor) * int(pipeline)

    def count(self) -> int:
        """How many replicas there will be, on the cluster that is `connected`.

        Raises:
            UsageError: the cluster has no room for that many; says how many it has room for.
        """
        return check_replicas(self.settings.verl.is_on_cpu, self.settings.generation.replicas, self.size)

    def sample(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        """A `gsr_rl.generation.rounds.Sample`: Ray and the replicas run for as long as it takes.

        Ray restarts a replica that dies, and does its batches again.

        Raises:
            UsageError: the engine cannot start, or Ray gives up; says why.
        """
        import ray.data
        from ray.exceptions import RayError

        model, arguments = str(self.served.model), self.arguments
        by_key = {request.key: request for request in requests}
        ends = end_tokens(_tokenizer(model), model)
        with connected(self.settings.verl.ray_init):
            ray.data.DataContext.get_current().enable_progress_bars = False
            processor, batch = self._processor()
            rows = [{"key": request.key, "request": _text(request)} for request in requests]
            # A finished block goes to the journal at once: blocks are no larger than need be.
            blocks = min(math.ceil(len(rows) / batch), MOST_BLOCKS)
            try:
                answered = processor(ray.data.from_items(rows, override_num_blocks=blocks))
                tables: Any = answered.iter_batches(batch_size=None, batch_format="pyarrow")
                for block in tables:
                    read = block.select([name for name in _COLUMNS if name in block.column_names]).to_pylist()
                    yield [(row["key"], _answer(row, by_key[row["key"]], arguments, ends)) for row in read]
            except RayError as error:
                reason = str(error).strip().rpartition("\n")[2]
                hint = "what was answered stays, and the same command resumes"
                raise UsageError(f"vLLM {model} on Ray: {reason}; {hint}") from None

    def _processor(self) -> tuple[Any, int]:
        """Ray's processor of rows, and the number of rows of a batch."""
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        count, batch = self.count(), math.ceil(self.served.concurrency / OVERLAPPING)
        bundles = {"bundles": [{"CPU": 1}] * self.size} if self.settings.verl.is_on_cpu else None
        config = vLLMEngineProcessorConfig(
            model_source=str(self.served.model),
            engine_kwargs=self.arguments,
            # Prompts come as token ids: Ray's tokenizer stage puts a second BOS before the template's own.
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            batch_size=batch,
            max_concurrent_batches=OVERLAPPING,
            concurrency=(1, count),
            should_continue_on_error=True,
            # vLLM's metrics for Ray import ray.serve, whose packages are missing without Ray's extra `serve`.
            log_engine_metrics=False,
            placement_group_config=bundles,
        )
        # As many encoding processes as replicas: a process on every free CPU would take the memory of a model each.
        encode = {
            "preprocess": partial(_encoded, str(self.served.model)),
            "preprocess_map_kwargs": {"concurrency": count},
        }
        return build_processor(config, **encode), batch


def _text(request: Request) -> str:
    """What `_encoded` needs of a request. As text, since Ray would make one type of all rows' parameters."""
    parameters = {**request.parameters, "seed": request.seed}
    template = parameters.pop("chat_template_kwargs", {})
    return json.dumps({"prompt": request.prompt, "template": template, "parameters": parameters})


def _encoded(model: str, row: dict[str, Any]) -> dict[str, Any]:
    """In a process of Ray's: the engine's row of a request, its prompt encoded as a server does it."""
    from gsr_rl.prompts import encode_prompt

    request = json.loads(row["request"])
    prompt = request["prompt"]
    is_tokens = isinstance(prompt[0], int)
    ids = prompt if is_tokens else encode_prompt(_tokenizer(model), prompt, **request["template"])
    return {"key": row["key"], "tokenized_prompt": ids, "sampling_params": request["parameters"]}


@cache
def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def _answer(row: Mapping[str, Any], request: Request, engine: Mapping[str, Any], ends: Set[int]) -> Answer | str:
    """The answer as a server would give it. Ray omits why a response ended; its length and last token tell."""
    if row.get(ERROR):
        return str(row[ERROR])
    tokens: list[int] = row["generated_tokens"]
    most, length = request.parameters["max_tokens"], row["num_input_tokens"] + len(tokens)
    full = len(tokens) >= most or length >= engine["max_model_len"]
    cut_off = full and (not tokens or tokens[-1] not in ends)
    return answer_of(request, row["generated_text"], cut_off, row["num_input_tokens"], len(tokens))
