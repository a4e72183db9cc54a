"""`gsr-rl eval` with a model that is served here, and what happens when a start ends early."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from adder import Here, N, adder, at, command, episodes, evaluation, small, tokenizer
from scripted_server import Act, Body, ScriptedServer, error, times_asked

from gsr_rl.cli import main
from gsr_rl.errors import UsageError
from gsr_rl.prompts import encode_prompt

SERVED = "generation.backend=server"


def test_a_model_that_is_served_here_gets_token_ids(tmp_path: Path, exam: Path, model: Path, here: Here) -> None:
    arguments = (tmp_path / "run", exam, f"model={model}", SERVED, "generation.engine.max_num_seqs=8")
    evaluation(*arguments)
    assert here.seen == N * 6 + 3
    assert here.peak <= 10  # a quarter more than the engine takes
    name = f"{model.parent.name}-tiny"
    assert {body["model"] for body in here.bodies} == {name}
    rows, prompts = episodes(tmp_path / "run", name), small().gsr.prompts
    wanted = Counter[str]()
    for row in rows:
        direct = prompts.direct_messages(row.problem)
        refine = prompts.refine_messages(row.problem, [candidate.text for candidate in row.candidates])
        wanted.update({str(encode_prompt(tokenizer(), direct)): 5, str(encode_prompt(tokenizer(), refine)): 1})
    got = Counter(str(body["prompt"]) for body in here.bodies)
    assert got & wanted == wanted and (got - wanted).total() == 3  # and the controls
    assert {response.n_tokens for row in rows for response in (*row.candidates, *row.refinements)} == {7}
    (line,) = here.lines
    assert line[line.index("--model") + 1] == str(model)
    assert line[line.index("--served-model-name") + 1] == name
    assert line[line.index("--max-model-len") + 1] == str(600 + 112)  # prompt and longest response
    evaluation(*arguments)
    assert len(here.lines) == 1  # nothing is missing, so no server is started


def test_a_server_that_ends_at_work_is_named_and_what_it_answered_is_kept(
    tmp_path: Path, exam: Path, model: Path, here: Here
) -> None:
    first_ends = here.ends

    def handler(body: Body) -> Act:
        if here.seen <= 10:
            return adder(body)
        first_ends.touch()
        return error(503, "out of memory")

    here.handler = handler
    overrides = ("eval.swapped=0", "generation.engine.max_num_seqs=4")
    arguments = (tmp_path / "run", exam, f"model={model}", SERVED, *overrides)
    with pytest.raises(UsageError) as raised:
        evaluation(*arguments)
    said = str(raised.value)
    assert said.startswith(f"vllm serve {model}: ended with exit code 3 at work; its log says why: ")
    assert said.endswith("tiny.log; what was answered stays, and the same command resumes")
    # The second server ends by a file of its own: a late request to the first may touch that file again.
    here.ends = tmp_path / "never"
    here.handler, here.bodies = adder, []
    evaluation(*arguments)
    assert N * 6 - 10 <= len(here.bodies) <= N * 6 - 10 + 5  # requests that were in flight


def test_answers_of_other_weights_are_not_mixed(tmp_path: Path, exam: Path, model: Path, here: Here) -> None:
    weights = model / "model.safetensors"
    arguments = (tmp_path / "run", exam, f"model={model}", SERVED, "eval.swapped=0")
    weights.write_bytes(b"trained")
    evaluation(*arguments)
    evaluation(*arguments)
    weights.write_bytes(b"trained further")
    with pytest.raises(UsageError) as raised:
        evaluation(*arguments)
    said = f"{model}: not the model called {model.parent.name}-tiny that answered here before (weights: "
    assert str(raised.value).startswith(said)
    weights.unlink()


def test_killed_and_started_again_it_asks_for_what_is_missing(tmp_path: Path, exam: Path) -> None:
    slots, answers = 4, N * 6
    half = threading.Event()

    def handler(body: Body) -> Act:
        if server.seen >= answers // 2:
            half.set()
        return adder(body)

    with ScriptedServer(handler, delay=0.05) as server:
        arguments = command(tmp_path / "run", exam, *at(server), f"eval.server.concurrency={slots}", "eval.swapped=0")
        process = subprocess.Popen([sys.executable, "-m", "gsr_rl.cli", *arguments], stdout=subprocess.DEVNULL)
        assert half.wait(300)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "run" / "episodes").exists()
        assert main(arguments) == 0
        assert len(times_asked(server.bodies)) == answers
        assert server.seen <= answers + slots
    assert len(episodes(tmp_path / "run")) == N
