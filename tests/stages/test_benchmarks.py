"""`gsr-rl eval` on benchmarks, from the command line to files, against servers on real sockets."""

import copy
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from gsr_rl.stages.benchmarks import items_of, load_benchmarks
from omegaconf import OmegaConf
from scripted_server import Act, Body, Reply, ScriptedServer, completion, error, times_asked
from tiny import tiny_tokenizer

from gsr_rl.cli import main
from gsr_rl.episode import Episode, Problem, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.generation import serve
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.prompts import PromptSet, encode_prompt
from gsr_rl.settings.compose import load_recipe
from gsr_rl.settings.evaluation import short_name
from gsr_rl.settings.gsr import from_mapping
from gsr_rl.stages import evaluate as evaluate_stage
from gsr_rl.stages.preflight import check

N = 6


def sums(n: int = N) -> list[dict[str, Any]]:
    return [{"id": f"s{i}", "problem": f"What is {i} + {i + 1}?", "answer": str(2 * i + 1)} for i in range(n)]


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a model as is read where servers sample: its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "sums.jsonl", sums())


@cache
def tokenizer() -> Any:
    return tiny_tokenizer()


def said(body: Body) -> str:
    """What a model is asked."""
    if "messages" in body:
        return body["messages"][-1]["content"]
    return tokenizer().decode(body["prompt"])


def is_refinement(body: Body) -> bool:
    return "Any, all or none" in said(body)


def total(text: str) -> int:
    return sum(int(word.strip("?")) for word in text.split("What is ")[-1].split()[:3:2])


def adder(body: Body) -> Act:
    """Its candidates are right or one too high by the seed, its refinements right but of the first problem; scores are
    high for what is right."""
    if "use_activation" in body:
        problem, response = (one["content"] for one in body["messages"])
        return Reply(200, json.dumps({"data": [{"data": [float(f"{{{total(problem)}}}" in response)]}]}).encode())
    right = total(said(body))
    wrong = right == 1 if is_refinement(body) else body["seed"] % 2
    text = f"Seed {body['seed']}. \\boxed{{{right + wrong}}}"
    if "messages" in body:
        return completion(text)
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 7}
    choice = {"text": text, "finish_reason": "stop"}
    return Reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())


FEW_TOKENS = ["gsr.candidate_tokens=28", "eval.swapped=3", "actor_rollout_ref.rollout.prompt_length=600"]
QUICK = ["eval.server.retry_s=0.01", "eval.refiner.retry_s=0.01"]


@cache
def base() -> Any:
    return load_recipe("quickstart_cpu", [*FEW_TOKENS, *QUICK])


def command(run_dir: Path, benchmarks: object, *overrides: str) -> list[str]:
    common = [f"run_dir={run_dir}", f"benchmarks=[{benchmarks}]", *FEW_TOKENS, *QUICK]
    return ["eval", "recipe=quickstart_cpu", *common, *overrides]


def evaluation(run_dir: Path, benchmarks: object, *overrides: str) -> None:
    """As the command, without composing the recipe anew."""
    config = copy.deepcopy(base())
    for override in (f"run_dir={run_dir}", f"benchmarks=[{benchmarks}]", *overrides):
        key, _, value = override.partition("=")
        OmegaConf.update(config, "eval.model" if key == "model" else key, yaml.safe_load(value), force_add=True)
    check(config, "eval")
    evaluate_stage.run(config)


def at(server: ScriptedServer, name: str = "toy") -> list[str]:
    return [f"model={server.url}", f"eval.server.model={name}"]


def episodes(run_dir: Path, name: str = "toy") -> list[Episode]:
    return read_episodes(run_dir / "episodes" / f"{name}.jsonl")


def test_a_model_at_a_url(tmp_path: Path, exam: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "run"
    with ScriptedServer(adder) as server:
        asked = command(run_dir, exam, *at(server), f"tokenizer={model}", "gsr.validation.m=2")
        assert main(asked) == 0
        # 4 candidates, an extra one, 2 refinements a problem; of three problems 2 refinements of another's candidates
        assert server.seen == N * 7 + 3 * 2
        rows = episodes(run_dir)
        capsys.readouterr()
        assert main(asked) == 0
        assert server.seen == N * 7 + 3 * 2
        assert episodes(run_dir) == rows
    out = capsys.readouterr().out
    assert [(one.id, one.dataset, one.problem, one.gold) for one in rows] == [
        (row["id"], "sums", row["problem"], row["answer"]) for row in sums()
    ]
    for row in rows:
        right = int(row.gold)
        assert [len(part) for part in (row.candidates, row.extra_candidates, row.refinements)] == [4, 1, 2]
        for one in (*row.candidates, *row.extra_candidates):
            seed = int(one.text.split()[1].strip("."))
            assert (one.answer, one.correct) == (str(right + seed % 2), seed % 2 == 0)
        assert {one.correct for one in row.refinements} == {right != 1}
        assert (row.model, row.refiner) == ("toy", "toy")
    assert [len(row.swapped_refinements) for row in rows] == [2, 2, 2, 0, 0, 0]
    figures = json.loads((run_dir / "episodes" / "toy.metrics.json").read_text())
    assert figures == json.loads(json.dumps(evaluate(rows)))
    assert figures["sums"]["selfref@4"] == pytest.approx(5 / 6)
    assert f"toy gets chat messages, and the chat template is that of {server.url}" in out
    assert f"episodes in {run_dir.resolve()}/episodes/toy.jsonl" in out
    table = out.splitlines()[-3:]
    assert table[0].split()[:6] == ["K", "n", "pass@1", "pass@K", "maj@K", "maj@K+1"]
    assert table[1].split()[:3] == ["sums", "4", "6"] and "83.3" in table[1].split()
    assert "6 problems with their repeats, 6 of them are there already" in out


def test_several_benchmarks_and_repeats(tmp_path: Path, exam: Path) -> None:
    other = jsonl(tmp_path / "more.jsonl", [row | {"dataset": "late"} for row in sums(9)[6:]])
    with ScriptedServer(adder) as server:
        evaluation(tmp_path / "run", f"{exam},{other}", *at(server), "eval.repeats=3", "eval.pool=6", "eval.name=mine")
        controls = 3 + 3  # in the first of the repeats
        assert server.seen == (N + 3) * 3 * 7 + controls
    rows = episodes(tmp_path / "run", "mine")
    assert Counter((row.dataset, row.id) for row in rows) == {
        **{("sums", f"s{i}"): 3 for i in range(6)},
        **{("late", f"s{i}"): 3 for i in range(6, 9)},
    }
    assert len({one.text for row in rows for one in row.candidates}) == len(rows) * 4
    figures = json.loads((tmp_path / "run" / "episodes" / "mine.metrics.json").read_text())
    assert (figures["sums"]["n"], figures["late"]["n"], figures["macro"]["sets"]) == (6, 3, 27)
    assert list(figures["sums"]["by_k"]) == ["1", "2", "3", "4", "5", "6"]


def test_a_sweep_has_files_for_each_k(tmp_path: Path, exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(adder) as server:
        evaluation(tmp_path / "run", exam, *at(server), "eval.sweep=[2,3,5]", "eval.swapped=0")
        assert server.seen == N * (6 + 3)
    for k in (2, 3, 5):
        rows = episodes(tmp_path / "run", f"toy-k{k}")
        assert {(len(row.candidates), len(row.extra_candidates)) for row in rows} == {(k, 6 - k)}
        assert json.loads((tmp_path / "run" / "episodes" / f"toy-k{k}.metrics.json").read_text())["sums"]["k"] == k
    lines = capsys.readouterr().out.splitlines()[-6:]
    assert [line.split()[:2] for line in lines[:3]] == [["sums", "2"], ["sums", "3"], ["sums", "5"]]


def test_named_benchmarks() -> None:
    (problems,) = load_benchmarks(["knights_knaves"], None)
    assert len(problems) == 600 and {one.dataset for one in problems} == {"knights_knaves"}


def test_a_control_is_among_the_first_problems_of_each_benchmark() -> None:
    first, second, alone = (
        [Problem(str(i), name, "?", "1") for i in range(n)] for name, n in (("a", 4), ("b", 2), ("c", 1))
    )
    items = items_of([first, second, alone], repeats=2, swapped=3)
    assert [(one.problem.dataset + one.problem.id, one.repeat) for one in items[:4]] == [
        ("a0", 0),
        ("a0", 1),
        ("a1", 0),
        ("a1", 1),
    ]
    others = {one.problem.dataset + one.problem.id: one.other.id for one in items if one.other}
    assert others == {"a0": "1", "a1": "2", "a2": "0", "b0": "1", "b1": "0"}
    assert all(one.other is None for one in items if one.repeat)
    assert all(one.other is None for one in items_of([first], repeats=1, swapped=1))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct"),
        ("gpt 4: mini", "gpt-4-mini"),
        ("{folder}/train/model", "train-model"),
        ("{folder}/train/model/", "train-model"),
    ],
)
def test_names_of_models_in_files(tmp_path: Path, model: str, name: str) -> None:
    (tmp_path / "train" / "model").mkdir(parents=True)
    assert short_name(model.format(folder=tmp_path)) == name


def test_rounds(tmp_path: Path, exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recursion = ["eval.population=5", "eval.rounds=2", "gsr.k=3"]
    with ScriptedServer(adder) as server:
        evaluation(tmp_path / "run", exam, *at(server), *recursion)
        assert server.seen == N * (5 + 2 * 5)
    rows = episodes(tmp_path / "run")
    assert Counter(row.round for row in rows) == {1: N * 5, 2: N * 5}
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line[:14].strip() for line in lines] == [
        "sums, round 1",
        "sums, round 2",
        "macro, round 1",
        "macro, round 2",
    ]


def test_cross_refinement_and_scores(tmp_path: Path, exam: Path) -> None:
    with (
        ScriptedServer(adder, ("a",)) as first,
        ScriptedServer(adder, ("b/large",)) as second,
        ScriptedServer(adder, ("judge",)) as third,
    ):
        refiner = [f"eval.refiner.urls=[{second.url}]", "eval.refiner.model=b/large"]
        scorer = [f"eval.reward_model.urls=[{third.url}]", "eval.reward_model.model=judge"]
        evaluation(tmp_path / "run", exam, *at(first, "a"), *refiner, *scorer, "eval.swapped=0")
        assert (first.seen, second.seen, third.seen) == (N * 5, N, N * 5)
        assert {is_refinement(body) for body in first.bodies} == {False}
        assert {is_refinement(body) for body in second.bodies} == {True}
        body = third.bodies[0]
        assert (body["model"], body["use_activation"], len(body["messages"])) == ("judge", False, 2)
        # The candidates are those of the model's own evaluation.
        evaluation(tmp_path / "run", exam, *at(first, "a"), "eval.swapped=0")
        assert first.seen == N * 6
    rows = episodes(tmp_path / "run", "a-by-large")
    assert {(row.model, row.refiner) for row in rows} == {("a", "b/large")}
    for row in rows:
        for one in (*row.candidates, *row.extra_candidates):
            assert one.score == float(one.correct)
    figures = json.loads((tmp_path / "run" / "episodes" / "a-by-large.metrics.json").read_text())
    assert figures["sums"]["bon@4"] == figures["sums"]["pass@4"]
    assert [row.candidates[0].score for row in episodes(tmp_path / "run", "a")] == [None] * N


# --- a model that is served here --------------------------------------------------------------------------------------


class Here(ScriptedServer):
    """In place of vLLM's server: `vllm serve` is a process that lasts until the file `ends` is there, and this answers.

    `lines` are the command lines by which vLLM would have been started.
    """

    def __init__(self, ends: Path) -> None:
        super().__init__(adder)
        self.ends = ends
        self.lines: list[list[str]] = []

    def command(self, line: list[str]) -> list[str]:
        self.lines.append(line)
        return ["sh", "-c", f"until [ -e {self.ends} ]; do sleep 0.02; done; exit 3"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Here]:
    command = serve.command
    with Here(tmp_path / "end") as server:
        monkeypatch.setattr(serve, "_free_port", lambda: server.port)
        monkeypatch.setattr(serve, "command", lambda *arguments: server.command(command(*arguments)))
        yield server


def test_a_model_that_is_served_here_gets_token_ids(tmp_path: Path, exam: Path, model: Path, here: Here) -> None:
    asked = (tmp_path / "run", exam, f"model={model}", "eval.engine.max_num_seqs=8")
    evaluation(*asked)
    assert here.seen == N * 6 + 3
    assert here.peak <= 10  # a quarter more than the engine takes
    name = f"{model.parent.name}-tiny"
    assert {body["model"] for body in here.bodies} == {name}
    rows, prompts = episodes(tmp_path / "run", name), quickstart_prompts()
    wanted = Counter[str]()
    for row in rows:
        direct = prompts.messages(prompts.direct_prompt(row.problem))
        refine = prompts.messages(prompts.refine_prompt(row.problem, [one.text for one in row.candidates]))
        wanted.update({str(encode_prompt(tokenizer(), direct)): 5, str(encode_prompt(tokenizer(), refine)): 1})
    got = Counter(str(body["prompt"]) for body in here.bodies)
    assert got & wanted == wanted and (got - wanted).total() == 3  # and the controls
    assert {one.n_tokens for row in rows for one in (*row.candidates, *row.refinements)} == {7}
    (line,) = here.lines
    assert line[line.index("--model") + 1] == str(model)
    assert line[line.index("--served-model-name") + 1] == name
    assert line[line.index("--max-model-len") + 1] == str(600 + 112)  # prompt and longest response
    evaluation(*asked)
    assert len(here.lines) == 1  # nothing is owed, so that no server is started


def quickstart_prompts() -> PromptSet:
    return from_mapping(PromptSet, dict(base().gsr.prompts), "gsr.prompts")


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
    asked = (tmp_path / "run", exam, f"model={model}", "eval.swapped=0", "eval.engine.max_num_seqs=4")
    with pytest.raises(UsageError) as raised:
        evaluation(*asked)
    said = str(raised.value)
    assert said.startswith(f"vllm serve {model}: ended with exit code 3 at work; its log says why: ")
    assert said.endswith("tiny.log; what was answered stays, and the same command goes on from there")
    # The second server ends by a file of its own: a late request to the first may touch that one again.
    here.ends = tmp_path / "never"
    here.handler, here.bodies = adder, []
    evaluation(*asked)
    assert N * 6 - 10 <= len(here.bodies) <= N * 6 - 10 + 5  # those that were under way


def test_answers_of_other_weights_are_not_mixed(tmp_path: Path, exam: Path, model: Path, here: Here) -> None:
    weights = model / "model.safetensors"
    asked = (tmp_path / "run", exam, f"model={model}", "eval.swapped=0")
    weights.write_bytes(b"trained")
    evaluation(*asked)
    evaluation(*asked)
    weights.write_bytes(b"trained further")
    with pytest.raises(UsageError) as raised:
        evaluation(*asked)
    said = f"{model}: not the model called {model.parent.name}-tiny that was evaluated here; remove "
    assert str(raised.value).startswith(said)
    weights.unlink()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_killed_and_started_again_it_asks_for_what_is_owed(tmp_path: Path, exam: Path) -> None:
    slots, owed = 4, N * 6
    half = threading.Event()

    def handler(body: Body) -> Act:
        if server.seen >= owed // 2:
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
        assert len(times_asked(server.bodies)) == owed
        assert server.seen <= owed + slots
    assert len(episodes(tmp_path / "run")) == N


ROWS = {
    "gold": [*sums(1), {"id": "x", "problem": "?"}],
    "blank": [{"id": "x", "problem": "What?", "answer": " "}],
    "macro": [{"id": "x", "problem": "What?", "answer": "1", "dataset": "macro"}],
    "again": sums(2),
    "long": [{"id": "x", "problem": "word " * 900, "answer": "1"}],
}


@pytest.mark.parametrize(
    ("benchmarks", "overrides", "said"),
    [
        ("aime2024", [], "benchmarks=aime2024: no such file or set; did you mean aime24?"),
        ("dapo_math_17k", [], "benchmarks=dapo_math_17k: must be an evaluation set, or a file; this is a training set"),
        ("", [], "benchmarks=[]: must be a list of different set names and files"),
        ("aime24,aime24", [], "benchmarks=['aime24', 'aime24']: must be a list of different"),
        ("{gold}", [], "gold.jsonl: row 2: no column 'answer'"),
        ("{blank}", [], "blank.jsonl: row 1: 'answer' holds no text; fill it in or drop the row"),
        ("{macro}", [], 'macro.jsonl: "macro" is the name of the mean over datasets; rename the dataset'),
        ("{again},{exam}", [], "are both called sums; give the rows of one file another"),
        ("{long}", ["tokenizer={model}"], "actor_rollout_ref.rollout.prompt_length=600: must be at least"),
        ("{exam}", ["eval.name=grpo"], "eval.name=grpo: must be another name"),
        ("{exam}", ["eval.server.model=null"], "eval.server.model=None: must be set beside eval.server.urls"),
        ("{exam}", ["eval.server.model=nobody"], "does not serve 'nobody', but toy; set eval.server.model"),
        (
            "{exam}",
            ["eval.server.urls=[http://a/v1]"],
            "eval.server.urls=['http://a/v1']: must be empty beside model=URL",
        ),
        ("{exam}", ["model=null"], "eval.server.model=toy: must be null where model is a folder or hub name"),
        (
            "{exam}",
            ["eval.refiner.model=http://a/v1"],
            "eval.refiner.model=http://a/v1: must be a name; the URL belongs",
        ),
        ("{exam}", ["eval.pool=4"], "eval.pool=4: must be null, or at least 5: a set of 4 and eval.extra_candidates=1"),
        ("{exam}", ["eval.sweep=[2,2]"], "eval.sweep=[2, 2]: must be null, or a list of different whole numbers"),
        ("{exam}", ["eval.sweep=[]"], "eval.sweep=[]: must be null, or a list"),
        ("{exam}", ["eval.repeats=0"], "eval.repeats=0: must be at least 1"),
        ("{exam}", ["eval.rounds=2"], "eval.population=None: must be the candidates of each of eval.rounds=2"),
        ("{exam}", ["eval.population=4"], "eval.population=4: must be null, or at least 5"),
        ("{exam}", ["eval.population=9", "eval.sweep=[2]"], "eval.sweep=[2]: must be null beside eval.population"),
        ("{exam}", ["eval.population=9", "gsr.validation.m=2"], "gsr.validation.m=2: must be 1 beside eval.population"),
        ("{exam}", ["tokenizer=/nowhere/at/all"], "model /nowhere/at/all: cannot be read"),
        ("aime25", ["problems.mirror=/nowhere"], "aime25: /nowhere/math-ai/aime25/test.jsonl: cannot be read"),
        ("{exam}", ["eval.server.timeout_s=0"], "eval.server.timeout_s=0.0: must be above 0 seconds"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_starts(
    tmp_path: Path,
    exam: Path,
    model: Path,
    benchmarks: str,
    overrides: list[str],
    said: str,
) -> None:
    files: dict[str, Path] = {name: jsonl(tmp_path / f"{name}.jsonl", rows) for name, rows in ROWS.items()}
    files["again"] = jsonl(tmp_path / "again" / "sums.jsonl", sums(2))
    files |= {"exam": exam, "model": model}
    with ScriptedServer(adder) as server:
        more = [one.format(**files) for one in overrides]
        with pytest.raises(UsageError) as raised:
            evaluation(tmp_path / "run", benchmarks.format(**files), *at(server), *more)
        assert server.seen == 0
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("eval.repeats=2", "eval.repeats=2: must be left alone without benchmarks"),
        ("eval.refiner.model=b", "eval.refiner.model=b: must be left alone without benchmarks"),
        ("model=http://a/v1", "model=http://a/v1: must be a folder or hub name without benchmarks"),
    ],
)
def test_what_benchmarks_alone_have(capsys: pytest.CaptureFixture[str], override: str, said: str) -> None:
    assert main(["eval", "recipe=quickstart_cpu", "eval.name=mine", override]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"gsr-rl: {said}"
