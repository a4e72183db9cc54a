"""Targets of an LLM teacher: tries, what is kept, thinking, and the rows that are made of them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted_server import MODEL, Act, Body, ScriptedServer, completion

from data_prep.rows import SftRow
from gsr_rl.episode import Episode, Problem, Response
from gsr_rl.errors import UsageError
from gsr_rl.generation.generate import ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.teach import Teach

PROBLEMS = [Problem("p1", "d", "1 + 1?", "2"), Problem("p2", "d", "2 + 2?", "4")]
CANDIDATES = (Response("it is 3", "3", False), Response("it is 4", "4", False))
EPISODES = [Episode.of(problem, CANDIDATES) for problem in PROBLEMS]
PROMPTS = PromptSet(
    direct="Q: {problem}", refine="R: {problem}\n{candidates}", candidate="{index}) {text}", separator="\n"
)


def teacher(url: str, **changes: Any) -> LlmTeacher:
    llm = {"urls": [url], "model": MODEL, "retry_s": 0.01, "top_p": None, "top_k": 20, "max_tokens": 50}
    teach = Teach.of({"teacher": "llm", "refine_weight": 0.5, "llm": llm, **changes}, "teach")
    return LlmTeacher(
        teach=teach,
        model=MODEL,
        prompts=PROMPTS,
        teacher_prompts=PROMPTS,
        run_seed=0,
        judge=lambda problem, text: text.endswith(f" {problem.gold}"),
        backend=partial(ask_servers, teach.llm),
    )


def rows(
    tmp_path: Path, handler: Callable[[Body], Act], **changes: Any
) -> tuple[list[SftRow], Outcomes, ScriptedServer]:
    with ScriptedServer(handler) as server, Journal(tmp_path / "answers.jsonl") as journal:
        return *teacher(server.url, **changes).rows(journal, PROBLEMS, EPISODES), server


def message_in(body: Body) -> str:
    return body["messages"][-1]["content"]


def right(body: Body) -> Act:
    return completion("so 2" if "1 + 1" in message_in(body) else "so 4")


def test_each_problem_has_a_direct_row_and_each_set_a_refinement_row(tmp_path: Path) -> None:
    made, outcomes, server = rows(tmp_path, right)
    assert made == [
        SftRow("p1", "direct", "Q: 1 + 1?", "so 2"),
        SftRow("p2", "direct", "Q: 2 + 2?", "so 4"),
        SftRow("p1", "refine", "R: 1 + 1?\n1) it is 3\n2) it is 4", "so 2"),
        SftRow("p2", "refine", "R: 2 + 2?\n1) it is 3\n2) it is 4", "so 4"),
    ]
    assert outcomes == {"direct": {"correct": 2}, "refine": {"correct": 2}}
    sampling = {name: value for name, value in server.bodies[0].items() if name not in ("messages", "seed")}
    assert sampling == {
        "model": MODEL,
        "temperature": 0.6,
        "top_k": 20,
        "max_tokens": 50,
    }  # parameters that are null are not sent


def test_the_teacher_s_prompts_may_differ_from_the_student_s(tmp_path: Path) -> None:
    other = PromptSet(direct="Teach: {problem}", refine="Mend: {problem}{candidates}", system="You teach.")
    with ScriptedServer(right) as server, Journal(tmp_path / "answers.jsonl") as journal:
        made, _ = replace(teacher(server.url), teacher_prompts=other).rows(journal, PROBLEMS, EPISODES)
    assert [row.prompt for row in made][:2] == ["Q: 1 + 1?", "Q: 2 + 2?"]
    assert all(body["messages"][0] == {"role": "system", "content": "You teach."} for body in server.bodies)
    assert sorted({message_in(body)[:5] for body in server.bodies}) == ["Mend:", "Teach"]


def test_targets_that_are_wrong_cut_off_or_empty_are_dropped_and_counted(tmp_path: Path) -> None:
    def handler(body: Body) -> Act:
        text = message_in(body)
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
    made, outcomes, _ = rows(tmp_path / "b", lambda body: handler(body) if "1 + 1" in message_in(body) else right(body))
    assert [(row.id, row.kind) for row in made] == [("p1", "direct"), ("p2", "direct"), ("p2", "refine")]
    assert outcomes == {"direct": {"correct": 2}, "refine": {"correct": 1, "cut_off": 1}}


def test_all_targets_that_were_not_cut_off_may_be_kept(tmp_path: Path) -> None:
    def handler(body: Body) -> Act:
        return completion("so 7", finish_reason="length" if "2 + 2" in message_in(body) else "stop")

    made, outcomes, _ = rows(tmp_path, handler, keep="all")
    assert [(row.id, row.response) for row in made] == [("p1", "so 7")] * 2
    assert outcomes == {"direct": {"cut_off": 1, "wrong": 1}, "refine": {"cut_off": 1, "wrong": 1}}


@pytest.mark.parametrize(("tries", "kept"), [(2, 0), (3, 4), (9, 4)])
def test_another_try_is_made_until_a_try_is_right(tmp_path: Path, tries: int, kept: int) -> None:
    """The third try is the first that is right: three are made, even where more are allowed."""
    times: Counter[str] = Counter()

    def handler(body: Body) -> Act:
        times[message_in(body)] += 1
        return right(body) if times[message_in(body)] == 3 else completion(f"so {times[message_in(body)]}0")

    made, outcomes, server = rows(tmp_path, handler, tries=tries, keep="all")
    assert server.seen == 4 * min(tries, 3)
    assert len({body["seed"] for body in server.bodies}) == server.seen
    assert sum(counts.get("correct", 0) for counts in outcomes.values()) == kept
    # Where no try is right, the first is kept.
    assert {row.response for row in made} == ({"so 2", "so 4"} if kept else {"so 10"})


def test_tries_that_were_made_are_not_made_again(tmp_path: Path) -> None:
    times: Counter[str] = Counter()

    def handler(body: Body) -> Act:
        times[message_in(body)] += 1
        return right(body) if times[message_in(body)] == 2 else completion("so 9")

    first, *_ = rows(tmp_path, handler, tries=5)
    again, _, server = rows(tmp_path, handler, tries=5)
    assert again == first and len(first) == 4
    assert server.seen == 0


@pytest.mark.parametrize("thinking", ["keep", "drop"])
@pytest.mark.parametrize("apart", [True, False])
def test_thinking_is_kept_or_dropped(tmp_path: Path, thinking: str, apart: bool) -> None:
    def handler(body: Body) -> Act:
        answer = "so 2" if "1 + 1" in message_in(body) else "so 4"
        whole = f"<think>\nhm 9\n</think>\n\n{answer}"
        return completion(answer, reasoning_content="hm 9") if apart else completion(whole)

    made, *_ = rows(tmp_path, handler, thinking=thinking)
    assert made[0].response == ("<think>\nhm 9\n</think>\n\nso 2" if thinking == "keep" else "so 2")
