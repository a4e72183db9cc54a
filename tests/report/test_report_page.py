"""The HTML page of the report: it runs only its own script, fetches nothing, and says which episodes it leaves out."""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.episode import Episode, Response, write_episodes
from gsr_rl.report import command
from gsr_rl.report.html import EPISODES, html, sample, shortened
from gsr_rl.report.plots import gap_by_k
from gsr_rl.report.results import KINDS, NOT_REFINED, Evaluation

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)><!-- ]]> & \ud800"


class Page(HTMLParser):
    """Tags with their attributes, and the content of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


def responses(answers: str, text: str = "t") -> tuple[Response, ...]:
    return tuple(Response(text, None if a == "-" else a, a == "0") for a in answers)


def episode(candidates: str, refinements: str, id: str = "1", dataset: str = "toy", **more: Any) -> Episode:
    return Episode(id, dataset, "?", "0", responses(candidates), responses(refinements), **more)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page on a folder of evaluations with hostile text wherever text can be."""
    root = tmp_path_factory.mktemp("run")
    wild = Response(HOSTILE, HOSTILE, False)
    rows = [
        Episode(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (wild, wild), (wild,), (wild,)),
        Episode("1", "toy", HOSTILE, "0", (wild, wild), (wild,), (wild,)),
    ]
    write_episodes(root / "episodes" / "a model of <img src=x onerror=alert(1)> & $x^2$.jsonl", rows)
    command.main([str(root)])
    return Page((root / "report.html").read_text(encoding="utf-8"))


def test_hostile_text_stays_text(hostile: Page) -> None:
    data, script = hostile.scripts  # the episodes of the one model, and the page's own
    model = json.loads(data)
    assert (model["name"], model["total"]) == ("a model of <img src=x onerror=alert(1)> & $x^2$", 2)
    first = model["episodes"][0]
    assert [first[key] for key in ("id", "dataset", "problem", "gold")] == [HOSTILE] * 4
    assert first["candidates"][0] == {"text": HOSTILE, "answer": HOSTILE, "correct": False, "cut_off": False}
    assert first["vote"] == {"answers": [HOSTILE], "votes": 2, "score": 0.0}
    assert "innerHTML" not in script and "document.write" not in script
    assert "img" not in [tag for tag, _ in hostile.tags]
    assert not any(name.startswith("on") for _, attributes in hostile.tags for name in attributes)
    assert "a model of <img src=x onerror=alert(1)> & $x^2$" in hostile.text


def test_nothing_is_fetched(hostile: Page) -> None:
    assert hostile.attributes("src") == []
    links = hostile.attributes("href")
    assert links and all(link.startswith("#") or re.fullmatch(r"[\w.]+/?", link) for link in links)
    assert [tag for tag, _ in hostile.tags if tag in ("link", "iframe", "object", "embed", "base")] == []
    assert "@import" not in hostile.text and not re.search(r"url\((?!#)", hostile.text)
    assert all(link.startswith("#") for link in hostile.attributes("xlink:href"))


def test_no_other_script_may_run(hostile: Page) -> None:
    (policy,) = [value for value in hostile.attributes("content") if "default-src" in value]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(hostile.scripts[-1].encode()).digest()).decode()
    assert (rules["default-src"], rules["script-src"]) == ("'none'", f"'sha256-{digest}'")
    data = [attributes for tag, attributes in hostile.tags if tag == "script"][:-1]
    assert {attributes["type"] for attributes in data} == {"application/json"}


def evaluation(kinds: list[tuple[str, str]]) -> Evaluation:
    """Episodes of given benchmarks and kinds; results do not matter here."""
    rows = [episode("0", "0", id=str(at), dataset=dataset) for at, (dataset, _) in enumerate(kinds)]
    return Evaluation("m", rows, {}, {}, [kind for _, kind in kinds])


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(list(KINDS)[:3])), max_size=40), st.integers(1, 30))
def test_episodes_are_chosen_evenly(kinds: list[tuple[str, str]], most: int) -> None:
    chosen = sample(evaluation(kinds), most)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(len(kinds), most)
    there, taken = Counter(kinds), Counter(kinds[at] for at in chosen)
    # whoever has two less than another has no more to give
    assert all(taken[a] == there[a] for a in there for b in there if taken[a] < taken[b] - 1)


def embedded(of: Evaluation) -> dict[str, Any]:
    return json.loads(Page(html("t", [], [], [of], [])).scripts[0])


def test_what_is_left_out_is_counted() -> None:
    rows = [episode("00", "0", id=str(at)) for at in range(EPISODES + 40)] + [episode("11", "0", id="c")]
    model = embedded(Evaluation.of("m", rows))
    assert (len(model["episodes"]), model["total"]) == (EPISODES, EPISODES + 41)
    assert model["counts"] == {
        "all wrong, and recovered": 1,
        "vote wrong, and fixed": 0,
        "vote right, and lost": 0,
        "vote right, and kept": EPISODES + 40,
        "vote wrong, and not fixed": 0,
        "vote tied": 0,
    }
    assert list(model["counts"]) == list(KINDS)
    assert [episode["id"] for episode in model["episodes"] if episode["kind"] == "all wrong, and recovered"] == ["c"]


@pytest.mark.parametrize(
    ("candidates", "refinements", "kind"),
    [
        ("1123", "0", "all wrong, and recovered"),
        ("1120", "0", "vote wrong, and fixed"),
        ("0012", "1", "vote right, and lost"),
        ("0012", "01", "vote right, and lost"),
        ("0012", "0", "vote right, and kept"),
        ("1123", "1", "vote wrong, and not fixed"),
        ("1120", "-", "vote wrong, and not fixed"),
        ("0011", "0", "vote tied"),
        ("0011", "", NOT_REFINED),
    ],
)
def test_kinds(candidates: str, refinements: str, kind: str) -> None:
    of = Evaluation.of("m", [episode(candidates, refinements)])
    assert of.kinds == [kind]
    assert {name for name, count in of.kind_counts().items() if count} == {kind}


def test_long_texts_are_shortened_in_the_middle() -> None:
    assert shortened("x" * 10, 10) == "x" * 10
    text = shortened("abcd" + "x" * 1_000 + "efgh", 8)
    assert text.startswith("abcd\n[... 1,000 characters left out") and text.endswith("]\nefgh")
    of = Evaluation.of("m", [episode("00", "0")])
    long = replace(of.episodes[0], refinements=responses("0", "y" * 100_000))
    assert len(json.dumps(embedded(replace(of, episodes=[long])))) < 10_000


def test_a_folder_of_evaluations(tmp_path: Path) -> None:
    """Models in a sensible order, benchmarks apart, in all three files."""
    rows = [episode("00", "0", dataset="aime"), *(episode("12", "1", id=str(i), dataset="math") for i in range(3))]
    for name in ("step-100", "grpo", "step-20", "base", "sft"):
        write_episodes(tmp_path / "episodes" / f"{name}.jsonl", rows)
    command.main([str(tmp_path)])
    order = ["base", "sft", "grpo", "step-20", "step-100"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert [stage["name"] for stage in report["stages"]] == order
    assert [stage["pass@1"] for stage in report["stages"]] == [0.5] * 5  # the mean of 1 and 0
    assert [(step["from"], step["to"]) for step in report["selfref_changes"]] == [("base", "sft"), ("sft", "grpo")]
    text = (tmp_path / "report.md").read_text()
    assert text.startswith(f"# {tmp_path.name}\n\n## Side by side")
    assert "| model |  | mean of benchmarks | aime | math |" in text
    page = Page((tmp_path / "report.html").read_text())
    assert [json.loads(script)["name"] for script in page.scripts[:-1]] == order
    assert "mean of benchmarks" in page.text


def test_headlines_are_on_one_scale() -> None:
    """Gaps from -10 to 30 points: 0 is a quarter of the way along each bar."""
    of = Evaluation.of("m", [episode("00", "0")])
    bars = [(-0.1, 0.0, 0.1), (0.1, 0.2, 0.3)]
    keys = ("ci_low", "refinement_gap", "ci_high")
    models = [replace(of, mean={**of.mean, **dict(zip(keys, bar, strict=True))}) for bar in bars]
    page = Page(html("t", [], [], [*models, Evaluation.of("bare", [episode("00", "")])], []))
    styles = [attributes["style"] for tag, attributes in page.tags if tag == "i"]
    assert styles == [
        "left: 27.0%", "left: 4.0%; right: 50.0%", "left: 27.0%",
        "left: 27.0%", "left: 50.0%; right: 4.0%", "left: 73.0%",
    ]  # fmt: skip
    for finding in ("A gap has not been shown.", "The refinement beats the vote", "No refinements, so no gap."):
        assert finding in page.text


def test_models_at_several_k_make_one_curve() -> None:
    sizes = {"m-k2": "01", "m-k4": "0112", "other-k2": "01", "m-k3": "0112"}
    plot = gap_by_k([Evaluation.of(name, [episode(candidates, "0")]) for name, candidates in sizes.items()])
    assert plot is not None
    assert [panel.title for panel in plot.panels] == ["m"]  # m-k3 is not of K = 3
    assert gap_by_k([Evaluation.of("m-k2", [episode("01", "0")]), Evaluation.of("m-k4", [episode("0112", "")])]) is None


def test_rounds_of_a_recursion(tmp_path: Path) -> None:
    rows = [
        episode("01", "0"),
        episode("00", "0", round=2),
        episode("11", "0", id="2"),
        episode("00", "0", id="2", round=2),
    ]
    write_episodes(tmp_path / "episodes" / "m.jsonl", rows)
    command.main([str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    assert "## Round by round" in text
    (first, second) = re.findall(
        r"^\|[^|]*\| [12] \| ([\d.]+) %[^|]*\| ([\d.]+) %[^|]*\| (\S+)[^|]*\| (\S+)", text, re.M
    )
    assert first == ("25.0", "100.0", "+75.0", "+75.0")  # a tie and a wrong vote
    assert second == ("100.0", "100.0", "+0.0", "+75.0")
    assert [
        episode["round"] for episode in json.loads(Page((tmp_path / "report.html").read_text()).scripts[0])["episodes"]
    ] == [1, 2, 1, 2]
