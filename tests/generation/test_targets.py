"""Targets of an LLM teacher: tries, what is kept, thinking, and the rows of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import MODEL, Act, Body, ScriptedServer, completion

from data_prep.rows import SftRow
from gsr_rl.episode import Episode, Problem, Response
from gsr_rl.errors import UsageError
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.compose import load_recipe
from gsr_rl.settings.gsr import from_mapping
from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.settings.sections import gsr_config, teach_config
from gsr_rl.settings.teach import TeachConfig

PROBLEMS = [Problem("p1", "d", "1 + 1?", "2"), Problem("p2", "d", "2 + 2?", "4")]
EPISODES = [
    Episode(
        one.id, one.dataset, one.problem, one.gold, (Response("it is 3", "3", False), Response("it is 4", "4", False))
    )
    for one in PROBLEMS
]
PROMPTS = PromptSet(
    direct="Q: {problem}", refine="R: {problem}\n{candidates}", candidate="{index}) {text}", separator="\n"
)


def teacher(url: str, **changes: Any) -> LlmTeacher:
    section = yaml.safe_load((recipes_dir() / "base.yaml").read_text())["teach"]
    section |= {"teacher": "llm", "refine_weight": 0.5} | changes
    section["llm"] |= {"urls": [url], "model": MODEL, "retry_s": 0.01, "top_p": None, "top_k": 20, "max_tokens": 50}
    teach = from_mapping(TeachConfig, section, "teach")
    judge: Callable[[Problem, str], bool] = lambda problem, text: text.endswith(f" {problem.gold}")  # noqa: E731
    return LlmTeacher(teach, PROMPTS, PROMPTS, 0, judge)


def rows(
    tmp_path: Path, handler: Callable[[Body], Act], **changes: Any
) -> tuple[list[SftRow], Outcomes, ScriptedServer]:
    with ScriptedServer(handler) as server, Journal(tmp_path / "answers.jsonl") as journal:
        return *teacher(server.url, **changes).rows(journal, PROBLEMS, EPISODES), server


def asked(body: Body) -> str:
    return body["messages"][-1]["content"]


def right(body: Body) -> Act:
    return completion("so 2" if "1 + 1" in asked(body) else "so 4")


def test_a_direct_row_a_problem_and_a_refinement_row_a_set(tmp_path: Path) -> None:
    made, outcomes, server = rows(tmp_path, right)
    assert made == [
        SftRow("p1", "direct", "Q: 1 + 1?", "so 2"),
        SftRow("p2", "direct", "Q: 2 + 2?", "so 4"),
        SftRow("p1", "refine", "R: 1 + 1?\n1) it is 3\n2) it is 4", "so 2"),
        SftRow("p2", "refine", "R: 2 + 2?\n1) it is 3\n2) it is 4", "so 4"),
    ]
    assert outcomes == {"direct": {"correct": 2}, "refine": {"correct": 2}}
    sampling = {name: value for name, value in server.bodies[0].items() if name not in ("messages", "seed")}
    assert sampling == {"model": MODEL, "temperature": 0.6, "top_k": 20, "max_tokens": 50}  # what is null is not sent


def test_the_teacher_may_be_asked_in_other_words_than_the_student(tmp_path: Path) -> None:
    other = PromptSet(direct="Teach: {problem}", refine="Mend: {problem}{candidates}", system="You teach.")
    with ScriptedServer(right) as server, Journal(tmp_path / "answers.jsonl") as journal:
        made, _ = replace(teacher(server.url), teacher_prompts=other).rows(journal, PROBLEMS, EPISODES)
    assert [row.prompt for row in made][:2] == ["Q: 1 + 1?", "Q: 2 + 2?"]
    assert all(body["messages"][0] == {"role": "system", "content": "You teach."} for body in server.bodies)
    assert sorted({asked(body)[:5] for body in server.bodies}) == ["Mend:", "Teach"]


def test_what_is_wrong_cut_off_or_empty_is_dropped_and_counted(tmp_path: Path) -> None:
    def handler(body: Body) -> Act:
        text = asked(body)
        if text.startswith("Q: 2"):
            return completion("so 5")
        if text.startswith("R: 1"):
            return completion("so 2", finish_reason="length")  # who knows what would have followed
        return completion("") if text.startswith("R: 2") else right(body)

    with pytest.raises(UsageError) as raised:
        rows(tmp_path, handler)
    assert "answers.jsonl: no refine target of toy can be kept (1 cut_off, 1 no_text); see teach.keep" in str(
        raised.value
    )
    made, outcomes, _ = rows(tmp_path / "b", lambda body: handler(body) if "1 + 1" in asked(body) else right(body))
    assert [(row.id, row.kind) for row in made] == [("p1", "direct"), ("p2", "direct"), ("p2", "refine")]
    assert outcomes == {"direct": {"correct": 2}, "refine": {"correct": 1, "cut_off": 1}}


def test_all_that_came_to_an_end_may_be_kept(tmp_path: Path) -> None:
    def handler(body: Body) -> Act:
        return completion("so 7", finish_reason="length" if "2 + 2" in asked(body) else "stop")

    made, outcomes, _ = rows(tmp_path, handler, keep="all")
    assert [(row.id, row.response) for row in made] == [("p1", "so 7")] * 2
    assert outcomes == {"direct": {"cut_off": 1, "wrong": 1}, "refine": {"cut_off": 1, "wrong": 1}}


@pytest.mark.parametrize(("tries", "kept"), [(2, 0), (3, 4), (9, 4)])
def test_another_try_is_made_until_one_is_right(tmp_path: Path, tries: int, kept: int) -> None:
    """The third try is the first right one: three are asked for, whatever is allowed."""
    times: Counter[str] = Counter()

    def handler(body: Body) -> Act:
        times[asked(body)] += 1
        return right(body) if times[asked(body)] == 3 else completion(f"so {times[asked(body)]}0")

    made, outcomes, server = rows(tmp_path, handler, tries=tries, keep="all")
    assert server.seen == 4 * min(tries, 3)
    assert len({body["seed"] for body in server.bodies}) == server.seen
    assert sum(counts.get("correct", 0) for counts in outcomes.values()) == kept
    # Where none is right, the first is kept.
    assert {row.response for row in made} == ({"so 2", "so 4"} if kept else {"so 10"})


def test_tries_that_were_made_are_not_made_again(tmp_path: Path) -> None:
    times: Counter[str] = Counter()

    def handler(body: Body) -> Act:
        times[asked(body)] += 1
        return right(body) if times[asked(body)] == 2 else completion("so 9")

    first, *_ = rows(tmp_path, handler, tries=5)
    again, _, server = rows(tmp_path, handler, tries=5)
    assert again == first and len(first) == 4
    assert server.seen == 0


@pytest.mark.parametrize("thinking", ["keep", "drop"])
@pytest.mark.parametrize("apart", [True, False])
def test_thinking_is_kept_or_dropped(tmp_path: Path, thinking: str, apart: bool) -> None:
    def handler(body: Body) -> Act:
        answer = "so 2" if "1 + 1" in asked(body) else "so 4"
        whole = f"<think>\nhm 9\n</think>\n\n{answer}"
        return completion(answer, reasoning_content="hm 9") if apart else completion(whole)

    made, *_ = rows(tmp_path, handler, thinking=thinking)
    assert made[0].response == ("<think>\nhm 9\n</think>\n\nso 2" if thinking == "keep" else "so 2")


# --- the section of a recipe ------------------------------------------------------------------------------------------


def test_the_recipes_sections_can_be_read() -> None:
    config = load_recipe("quickstart_cpu", ["teach.problems=256"])
    teach = teach_config(config)
    assert (teach.teacher, teach.pool_size(gsr_config(config)), teach.problems) == ("oracle", 4, 256)
    assert teach.teacher_prompts(gsr_config(config)) == gsr_config(config).prompts


def test_the_share_of_refinement_in_sft_is_that_of_the_loss_unless_the_recipe_says_otherwise() -> None:
    config = load_recipe("gsr_qwen2_5_7b", ["gsr.refine_weight=0.25"])
    assert teach_config(config).refine_weight == 0.25
    config = load_recipe("gsr_qwen2_5_7b", ["gsr.refine_weight=0.25", "teach.refine_weight=0.75"])
    assert (teach_config(config).refine_weight, gsr_config(config).refine_weight) == (0.75, 0.25)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["teach.teacher=llm"], "teach.llm.model=None: must be the name of a model at teach.llm.urls"),
        (["teach.teacher=qwen"], "teach.teacher=qwen: must be one of oracle, llm"),
        (["teach.pool=3"], "teach.pool=3: must be at least gsr.k=4"),
        (["teach.tries=0"], "teach.tries=0: must be at least 1"),
        (["teach.tries=2", "teach.llm.temperature=0"], "teach.llm.temperature=0: must be above 0 with teach.tries=2"),
        (["teach.llm.top_p=2"], "teach.llm.top_p=2.0: must be above 0 and at most 1"),
        (["teach.refine_weight=1.5"], "teach.refine_weight=1.5: must be a share from 0 to 1"),
        (["teach.keep=right"], "teach.keep=right: must be one of correct, all"),
        (["teach.student.urls=[host:80]", "teach.student.model=m"], "teach.student.urls=host:80: must be base URLs"),
        (["teach.llm.concurrency=many"], "teach.llm.concurrency='many': must be of type int"),
        (["+teach.prompts.drect=x"], "teach.prompts.drect: no such key; did you mean teach.prompts.direct?"),
        (["+teach.prompts.direct=x"], "teach.prompts.direct: the field {problem} is missing"),
    ],
)
def test_sections_that_cannot_be_used(overrides: list[str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        teach_config(load_recipe("quickstart_cpu", overrides))
    assert str(raised.value).startswith(said)
