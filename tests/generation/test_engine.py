"""vLLM's engine in this process, for which a stand-in answers: requests, answers, and resuming after an interrupt."""

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.generation import engine as engine_module
from gsr_rl.generation.engine import Engine
from gsr_rl.generation.generate import Ask, Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.rounds import in_rounds
from gsr_rl.prompts import encode_prompt
from gsr_rl.settings.served import Served

MESSAGES = [{"role": "user", "content": "1 + 1?"}]


@dataclass
class StandIn:
    """In place of vLLM's `LLM` and its engine. Each step ends the next two requests, and says why by `finish`.

    Attributes:
        added: key, token ids and sampling parameters of every request.
        steps: called before each step.
        died: whether its process has died; None if it has no process of its own.
        shut_down: how often the device was given back.
    """

    tokenizer: Any
    finish: str = "stop"
    text: str = "<think>hm</think>two"
    steps: Callable[[int], None] = lambda number: None
    added: list[tuple[str, list[int], Any]] = field(default_factory=list)
    loaded: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    shut_down: int = 0
    died: bool | None = None
    _queue: deque[tuple[str, list[int]]] = field(default_factory=deque)
    _step: int = 0

    @property
    def llm_engine(self) -> "StandIn":
        return self

    @property
    def engine_core(self) -> Any:
        def shutdown() -> None:
            self.shut_down += 1
            self.died = self.died is not None or None  # as vLLM does

        process = {} if self.died is None else {"resources": SimpleNamespace(engine_dead=self.died)}
        return SimpleNamespace(shutdown=shutdown, **process)

    def load(self, model: str, **arguments: Any) -> "StandIn":
        self.loaded.append((model, arguments))
        return self

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def add_request(self, key: str, prompt: Any, sampling: Any) -> None:
        from vllm.exceptions import VLLMValidationError

        ids = list(prompt["prompt_token_ids"])
        if len(ids) > 500:
            raise VLLMValidationError(f"The prompt (length {len(ids)}) is longer than\nthe maximum model length")
        self.added.append((key, ids, sampling))
        self._queue.append((key, ids))

    def has_unfinished_requests(self) -> bool:
        return bool(self._queue)

    def step(self) -> list[Any]:
        self._step += 1
        self.steps(self._step)
        going = [self._output(key, ids, False) for key, ids in list(self._queue)[2:3]]
        ended = [self._queue.popleft() for _ in range(min(2, len(self._queue)))]
        return [*(self._output(key, ids, True) for key, ids in reversed(ended)), *going]

    def _output(self, key: str, ids: Sequence[int], finished: bool) -> Any:
        completion = SimpleNamespace(text=self.text, finish_reason=self.finish if finished else None, token_ids=[7] * 3)
        return SimpleNamespace(request_id=key, finished=finished, prompt_token_ids=ids, outputs=[completion])


@pytest.fixture
def vllm(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(tokenizer)
    monkeypatch.setattr("vllm.LLM", stand_in.load)
    return stand_in


def request(index: int = 0, prompt: Any = MESSAGES, **parameters: Any) -> Request:
    return Request("direct", "m", prompt, {"max_tokens": 9, **parameters}, index)


def answers(engine: Engine, *requests: Request) -> dict[str, Answer | str]:
    return {key: answer for batch in engine.sample(requests) for key, answer in batch}


def test_the_model_is_loaded_for_the_first_requests_and_given_back_once(vllm: StandIn) -> None:
    with Engine("folder", {"max_num_seqs": 8}) as engine:
        assert vllm.loaded == []
        answers(engine, request(0))
        answers(engine, request(1))
        assert vllm.loaded == [("folder", {"max_num_seqs": 8, "seed": request(0).seed})]
        assert vllm.shut_down == 0
    assert vllm.shut_down == 1
    with Engine("folder", {}):
        pass
    assert (len(vllm.loaded), vllm.shut_down) == (1, 1)


def test_the_device_is_given_back_after_an_error(vllm: StandIn) -> None:
    with pytest.raises(ZeroDivisionError), Engine("folder", {}) as engine:
        answers(engine, request())
        raise ZeroDivisionError
    assert vllm.shut_down == 1


def test_an_engine_whose_process_has_died_is_named(vllm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM waits for its answers for ever."""
    monkeypatch.setattr(engine_module, "LOOK_S", 0.01)
    vllm.died = False

    def wait(number: int) -> None:
        vllm.died = True
        time.sleep(60)

    vllm.steps = wait
    began = time.monotonic()
    with pytest.raises(UsageError) as raised, Engine("folder", {}) as engine:
        answers(engine, request())
    assert time.monotonic() - began < 30
    assert str(raised.value) == (
        "vLLM folder: its engine has died; vLLM's log is above; what was answered stays, and the same command resumes"
    )
    assert vllm.shut_down == 1


def test_an_engine_that_is_given_back_has_not_died(vllm: StandIn) -> None:
    vllm.died = False
    with Engine("folder", {}) as engine:
        answers(engine, request())
    assert (vllm.shut_down, vllm.died) == (1, True)


def test_token_ids_go_to_the_engine_as_they_are_and_messages_through_the_template(
    vllm: StandIn, thinking_tokenizer: Any
) -> None:
    template = "{% if short %}S{% endif %}" + thinking_tokenizer.chat_template
    vllm.tokenizer = type(thinking_tokenizer)(
        tokenizer_object=thinking_tokenizer._tokenizer, eos_token="<|im_end|>", chat_template=template
    )
    requests = [request(0, [5, 6]), request(1), request(2, chat_template_kwargs={"short": True})]
    with Engine("m", {}) as engine:
        answers(engine, *requests)
    prompts = [ids for _, ids, _ in vllm.added]
    assert prompts[0] == [5, 6]
    assert prompts[1] == encode_prompt(vllm.tokenizer, MESSAGES)
    assert prompts[2] == encode_prompt(vllm.tokenizer, MESSAGES, short=True) != prompts[1]


def test_sampling_is_that_of_the_request(vllm: StandIn) -> None:
    asked = request(temperature=0.5, top_p=0.9, top_k=20, stop=["x"])
    with Engine("m", {}) as engine:
        answers(engine, asked)
    ((key, _, sampling),) = vllm.added
    # A seed for each request would halve vLLM's speed on a CPU.
    assert key == asked.key and sampling.seed is None
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (0.5, 0.9, 20, 9)
    assert sampling.stop == ["x"] and sampling.n == 1


@pytest.mark.parametrize("prompt", [MESSAGES, [5, 6]], ids=["messages", "token ids"])
@pytest.mark.parametrize(("finish", "cut_off"), [("stop", False), ("length", True)])
def test_thinking_is_split_off_messages_alone_and_the_limit_marks_what_it_cut(
    vllm: StandIn, prompt: Any, finish: str, cut_off: bool
) -> None:
    vllm.finish = finish
    asked = request(prompt=prompt)
    with Engine("m", {}) as engine:
        (answer,) = answers(engine, asked).values()
    ((_, ids, _),) = vllm.added
    text, thinking = ("two", "hm") if prompt is MESSAGES else ("<think>hm</think>two", "")
    assert answer == Answer(text, thinking, cut_off, len(ids), 3)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"no_such_parameter": 1}, "no_such_parameter"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 7.0}, "top_p"),
    ],
)
def test_a_sampling_parameter_that_vllm_refuses(vllm: StandIn, parameters: dict[str, Any], said: str) -> None:
    with Engine("folder", {}) as engine, pytest.raises(UsageError) as raised:
        answers(engine, request(**parameters))
    line = str(raised.value)
    assert line.startswith(f"vLLM folder: refuses the sampling parameters {{'max_tokens': 9, '{said}': ")
    assert said in line.partition(" (")[2] and "\n" not in line


def test_a_prompt_that_is_too_long_is_no_answer_and_the_others_are_answered(vllm: StandIn) -> None:
    short, long = request(0), request(1, [5] * 501)
    with Engine("m", {}) as engine:
        found = answers(engine, long, short)
    assert found == {
        long.key: "The prompt (length 501) is longer than the maximum model length",
        short.key: Answer("two", "hm", False, len(vllm.added[0][1]), 3),
    }


def test_answers_are_handed_on_in_batches_by_time(vllm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def step(number: int) -> None:
        nonlocal now
        now += 0.2

    vllm.steps = step
    monkeypatch.setattr(engine_module, "time", SimpleNamespace(monotonic=lambda: now))
    asked = [request(i) for i in range(17)]
    with Engine("m", {}) as engine:
        batches = [[key for key, _ in batch] for batch in engine.sample(asked)]
    # Two answers a step, and half a second for three steps: six answers a batch, and then the rest.
    assert [len(batch) for batch in batches] == [6, 6, 5]
    assert sorted(key for batch in batches for key in batch) == sorted(request.key for request in asked)
    assert batches[0][:2] == [asked[1].key, asked[0].key]  # as they came


def test_after_an_interrupt_in_the_middle_nothing_that_is_in_the_journal_is_asked_for_again(
    vllm: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates and a refinement that depends on them; the interrupt comes among the refinements."""
    monkeypatch.setattr(engine_module, "BATCH_S", 0.0)
    vllm.text = "so 2"

    async def work(ask: Ask, item: int) -> str:
        first = await ask(request(0, [{"role": "user", "content": f"{item}?"}]))
        return (await ask(request(1, [{"role": "user", "content": f"{item}? {first.text}"}]))).text

    def generate() -> list[str]:
        with Engine("m", {}) as engine, Journal(tmp_path / "answers.jsonl") as journal:
            return in_rounds(engine.sample, Served(model="m"), journal, Job("test", range(20), work))

    def interrupt(number: int) -> None:
        if number == 10 + 4:
            raise KeyboardInterrupt

    vllm.steps = interrupt
    with pytest.raises(KeyboardInterrupt):
        generate()
    assert vllm.shut_down == 1
    before = {json.loads(line)["key"] for line in (tmp_path / "answers.jsonl").read_text().splitlines()}
    assert len(before) == 20 + 3 * 2 and len(vllm.added) == 20 + 20
    vllm.added, vllm.steps, vllm._queue = [], lambda number: None, deque()
    assert generate() == ["so 2"] * 20
    keys = [key for key, _, _ in vllm.added]
    assert len(keys) == len(set(keys)) == 40 - len(before) and not before & set(keys)
    vllm.added = []
    assert generate() == ["so 2"] * 20
    assert vllm.added == [] and len(vllm.loaded) == 2  # nothing is pending, so no model is loaded


# --- what we rely on in vLLM ------------------------------------------------------------------------------------------


def test_vllm_s_engine_has_these_methods() -> None:
    import inspect

    from vllm.v1.engine.llm_engine import LLMEngine

    assert list(inspect.signature(LLMEngine.add_request).parameters)[1:4] == ["request_id", "prompt", "params"]
    assert callable(LLMEngine.step) and callable(LLMEngine.has_unfinished_requests)


def test_vllm_notices_the_death_of_its_engine_and_waits_for_its_answers_for_ever() -> None:
    import inspect

    from vllm.v1.engine.core_client import BackgroundResources, InprocClient, MPClient, SyncMPClient

    assert "engine_dead" in inspect.signature(BackgroundResources).parameters
    assert "self.resources = BackgroundResources(" in inspect.getsource(MPClient.__init__)
    assert not issubclass(InprocClient, MPClient)
    assert "resources.engine_dead = True" in inspect.getsource(MPClient.start_engine_core_monitor)
    # If this fails, the watch may no longer be needed.
    assert "outputs = self.outputs_queue.get()" in inspect.getsource(SyncMPClient.get_output)


def test_vllm_s_outputs_have_these_fields() -> None:
    import inspect

    from vllm.outputs import CompletionOutput, RequestOutput

    assert {"request_id", "prompt_token_ids", "outputs", "finished"} <= set(inspect.signature(RequestOutput).parameters)
    assert {"text", "token_ids", "finish_reason"} <= set(inspect.signature(CompletionOutput).parameters)
