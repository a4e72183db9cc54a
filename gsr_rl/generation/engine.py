"""`generation.backend=process`: vLLM's own engine in this process."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.generation.requests import Answer, Request, answer_of
from gsr_rl.interrupt import interrupted_when
from gsr_rl.prompts import encode_prompt

# Answers that came within this time share one wait for the disk: what an interrupt costs at most.
BATCH_S = 0.5
LOOK_S = 1.0  # between two looks at whether the engine is alive


class Engine:
    """A model in vLLM's engine, loaded when the first request is pending.

    The engine draws for all requests from one random stream: a stream for each request halves vLLM's speed on a CPU.
    The first pending request seeds the stream, so a resume does not repeat what was drawn before.

    Args:
        model: folder or hub name.
        arguments: arguments of the engine.
    """

    def __init__(self, model: str, arguments: Mapping[str, Any]) -> None:
        self.model, self.arguments = model, dict(arguments)
        self._llm: Any = None
        # vLLM 0.28 notices that its engine has died, and still waits for its answers for ever.
        self._watched = interrupted_when(self._has_died, LOOK_S)

    def __enter__(self) -> "Engine":
        self._watched.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the device back: another model may be loaded next.

        Raises:
            UsageError: the engine's process has died.
        """
        self._watched.__exit__(None, None, None)
        has_died = self._has_died()
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
        if has_died:
            hint = "vLLM's log is above; what was answered stays, and the same command resumes"
            raise UsageError(f"vLLM {self.model}: its engine has died; {hint}") from None

    def sample(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        """A `gsr_rl.generation.rounds.Sample`."""
        engine = self._loaded(requests[0].seed).llm_engine
        by_key = {request.key: request for request in requests}
        answers: list[tuple[str, Answer | str]] = []
        for request in requests:
            prompt, sampling = self._encoded(request)
            try:
                engine.add_request(request.key, prompt, sampling)
            except _refusals() as error:  # such as a prompt that is longer than the context
                answers.append((request.key, " ".join(str(error).split())))
        shown = time.monotonic()
        while engine.has_unfinished_requests():
            answers += [
                (output.request_id, _answer(output, by_key[output.request_id]))
                for output in engine.step()
                if output.finished
            ]
            if answers and time.monotonic() - shown >= BATCH_S:
                yield answers
                answers, shown = [], time.monotonic()
        if answers:
            yield answers

    def _has_died(self) -> bool:
        """Whether the engine's process has died. On a CPU the engine has no process of its own."""
        if self._llm is None:
            return False
        core = self._llm.llm_engine.engine_core
        return hasattr(core, "resources") and core.resources.engine_dead

    def _loaded(self, seed: int) -> Any:
        if self._llm is None:
            from vllm import LLM

            self._llm = LLM(self.model, **{**self.arguments, "seed": seed})
        return self._llm

    def _encoded(self, request: Request) -> tuple[Any, Any]:
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        parameters = dict(request.parameters)
        template = parameters.pop("chat_template_kwargs", {})
        tokenizer: Any = self._llm.get_tokenizer()
        ids: Any = request.prompt if request.is_tokens else encode_prompt(tokenizer, list(request.prompt), **template)  # pyright: ignore[reportArgumentType]
        try:
            # Otherwise each step would make a text of every response so far.
            sampling = SamplingParams(**parameters, output_kind=RequestOutputKind.FINAL_ONLY)
        except _refusals() as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"vLLM {self.model}: refuses the sampling parameters {parameters} ({reason})") from None
        return TokensPrompt(prompt_token_ids=list(ids)), sampling


def _refusals() -> tuple[type[Exception], ...]:
    """The errors with which vLLM refuses a request; its own error is a ValueError in some versions only."""
    from vllm.exceptions import VLLMValidationError

    return TypeError, ValueError, VLLMValidationError


def _answer(output: Any, request: Request) -> Answer:
    completion = output.outputs[0]
    cut_off = completion.finish_reason != "stop"
    return answer_of(request, completion.text, cut_off, len(output.prompt_token_ids), len(completion.token_ids))
