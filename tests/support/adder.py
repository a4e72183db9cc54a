"""A model that adds, in servers and in an engine, and the settings of small evaluations of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from composed import changed, composed
from scripted_server import Body, Reply, ScriptedServer, completion
from tiny import tiny_tokenizer

from gsr_rl.episode import Episode, read_episodes
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.settings.settings import Settings
from gsr_rl.stages import evaluate

N = 6
FEW_TOKENS = ["gsr.candidate_tokens=28", "eval.swapped=3", "actor_rollout_ref.rollout.prompt_length=600"]
QUICK = ["eval.server.retry_s=0.01", "eval.refiner.retry_s=0.01"]


def sums(n: int = N) -> list[dict[str, Any]]:
    """Rows of problems; the answer to the first is 1."""
    return [{"id": f"s{i}", "problem": f"What is {i} + {i + 1}?", "answer": str(2 * i + 1)} for i in range(n)]


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@cache
def tokenizer() -> Any:
    """The model's tokenizer."""
    return tiny_tokenizer()


def text_of(body: Body) -> str:
    """The text of a request's prompt."""
    if "messages" in body:
        return body["messages"][-1]["content"]
    return tokenizer().decode(body["prompt"])


def is_refinement(body: Body) -> bool:
    """Whether a request is for a refinement, by the quickstart's prompts."""
    return "Any, all or none" in text_of(body)


def total(text: str) -> int:
    """The right answer to the last problem in a text."""
    return sum(int(word.strip("?")) for word in text.split("What is ")[-1].split()[:3:2])


def adder(body: Body) -> Reply:
    """A candidate is right, or one too high, by its seed. Refinements are right except for the first problem. The score
    of a right response is 1, of a wrong one 0."""
    if "use_activation" in body:
        problem, response = (message["content"] for message in body["messages"])
        return Reply(200, json.dumps({"data": [{"data": [float(f"{{{total(problem)}}}" in response)]}]}).encode())
    right = total(text_of(body))
    wrong = right == 1 if is_refinement(body) else body["seed"] % 2
    text = f"Seed {body['seed']}. \\boxed{{{right + wrong}}}"
    if "messages" in body:
        return completion(text)
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 7}
    choice = {"text": text, "finish_reason": "stop"}
    return Reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())


class Here(ScriptedServer):
    """In place of vLLM's server: `vllm serve` is a process that lasts until the file `ends` is there, and this answers.

    `lines` are the command lines by which vLLM would have been started.
    """

    def __init__(self, ends: Path) -> None:
        super().__init__(adder)
        self.ends = ends
        self.lines: list[list[str]] = []

    def command(self, line: list[str]) -> list[str]:
        """The command that is run instead of `line`."""
        self.lines.append(line)
        return ["sh", "-c", f"until [ -e {self.ends} ]; do sleep 0.02; done; exit 3"]


class ScriptedEngine:
    """In place of `gsr_rl.generation.engine.Engine`, class and object at once: answers as `handler` says.

    Attributes:
        requests: in the order in which they were answered.
        models: folder and arguments of each engine.
    """

    def __init__(self, batch: int = 4) -> None:
        self.handler: Any = adder
        self.batch = batch
        self.requests: list[Request] = []
        self.models: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, model: str, arguments: Mapping[str, Any]) -> "ScriptedEngine":
        self.models.append((model, dict(arguments)))
        return self

    def __enter__(self) -> "ScriptedEngine":
        return self

    def __exit__(self, *_: object) -> None: ...

    def sample(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        """A `gsr_rl.generation.rounds.Sample`."""
        for first in range(0, len(requests), self.batch):
            answers: list[tuple[str, Answer | str]] = []
            for request in requests[first : first + self.batch]:
                self.requests.append(request)
                answers.append((request.key, request.read(self.handler(request.body()).body)))
            yield answers


def small() -> Settings:
    """The quickstart with short responses."""
    return composed("quickstart_cpu", *FEW_TOKENS, *QUICK)


def command(run_dir: Path, benchmarks: object, *overrides: str) -> list[str]:
    """The command line of an evaluation; `benchmarks` of None stands for the run's own problems."""
    return ["eval", "recipe=quickstart_cpu", *FEW_TOKENS, *QUICK, *_what(run_dir, benchmarks), *overrides]


def evaluation(run_dir: Path, benchmarks: object, *overrides: str) -> None:
    """Do what the command does, without composing the recipe each time."""
    settings = changed(small(), *_what(run_dir, benchmarks), *overrides)
    evaluate.check(settings)
    evaluate.run(settings)


def _what(run_dir: Path, benchmarks: object) -> list[str]:
    return [f"run_dir={run_dir}", *([] if benchmarks is None else [f"eval.benchmarks=[{benchmarks}]"])]


def at(server: ScriptedServer, name: str = "toy") -> list[str]:
    """Overrides for a model at a server."""
    return [f"model={server.url}", f"eval.server.model={name}"]


def episodes(run_dir: Path, name: str = "toy") -> list[Episode]:
    """The episodes of an evaluation."""
    return read_episodes(run_dir / "episodes" / f"{name}.jsonl")
