"""The W&B workspace: what stands first, and that every metric it shows is really logged."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.cli import main
from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.gap import MACRO, summarize
from gsr_rl.metrics.logged import (
    CANDIDATE,
    REFINEMENT,
    TABLE,
    TRAINER_METRICS,
    VERL_METRICS,
    train_metrics,
    val_metrics,
    validation_metric,
)
from gsr_rl.tools.dashboard import SECTIONS


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a W&B login."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.chdir(tmp_path)


def logged() -> set[str]:
    """Names of all metrics that a step of training, a validation and SFT log."""
    keys = ["p_0_0", "p_1_0", "p_2_0"]
    numbers = ("reward", "correct", "response_len", "prompt_len", "cut_off", "no_answer", "reward_failed")
    tag = dict.fromkeys(numbers, 0)
    tags = [{"stage": stage, **tag} for stage in (CANDIDATE, CANDIDATE, REFINEMENT)]
    right, wrong = Response("a", "1", True), Response("b", "2", False)
    sets = [((right, right), (wrong,)), ((wrong, wrong), (right,))]
    episodes = [Episode(str(at), "aime", "?", "1", *responses) for at, responses in enumerate(sets)]
    ours = {*train_metrics(keys, tags), *val_metrics(summarize(episodes), {"aime": 0})}
    return ours | {*TRAINER_METRICS, *VERL_METRICS}


def test_what_it_shows_is_logged() -> None:
    names = logged()
    plots = [plot for plots in SECTIONS.values() for plot in plots]
    assert {name for plot in plots for name in plot.metrics} <= names
    matched = {
        plot.pattern: {name for name in names if re.fullmatch(plot.pattern, name)} for plot in plots if plot.pattern
    }
    assert list(matched.values()) == [
        {validation_metric(MACRO, name) for name in ("selfref@2", "maj@2", "pass@1", "pass@2")},
        {validation_metric(dataset, "refinement_gap") for dataset in ("aime", MACRO)},
    ]


@pytest.mark.usefixtures("nobody")
def test_without_a_login_the_specification_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--entity", "us", "--project", "gaps", "--run", "quickstart"]
    assert main(["dashboard", *arguments, "--out", str(tmp_path / "sub" / "spec.json")]) == 0
    out = capsys.readouterr().out
    assert f"specification in {tmp_path / 'sub' / 'spec.json'}" in out
    assert "not saved, which needs a W&B login" in out
    written = json.loads((tmp_path / "sub" / "spec.json").read_text())
    assert (written["entity"], written["project"]) == ("us", "gaps")
    specified: dict[str, Any] = written["spec"]["section"]
    sections = specified["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == [*SECTIONS, "Episodes of the last validation"]
    assert all(section["isOpen"] for section in sections)
    gap = sections[0]["panels"][0]
    assert gap["viewType"] == "Run History Line Plot"
    assert gap["config"]["metrics"] == [
        validation_metric(MACRO, name) for name in ("refinement_gap", "ci_low", "ci_high")
    ]
    pattern = sections[0]["panels"][1]["config"]
    assert (pattern["useMetricRegex"], pattern["metricRegex"]) == (
        True,
        validation_metric(MACRO, r"(selfref|maj|pass)@[0-9]+"),
    )
    assert sections[0]["name"] == "Refinement Gap" and f'"{TABLE}"' in json.dumps(sections[-1]["panels"])
    (runs,) = specified["runSets"]
    assert runs["search"]["query"] == "quickstart"
    assert f"summary:{validation_metric(MACRO, 'refinement_gap')}" in runs["runFeed"]["columnPinned"]


@pytest.mark.usefixtures("nobody")
def test_by_default_it_is_the_project_of_the_recipes(tmp_path: Path) -> None:
    assert main(["dashboard"]) == 0
    assert json.loads((tmp_path / "dashboard.json").read_text())["project"] == "gsr-rl"


@pytest.mark.usefixtures("nobody")
def test_offline_is_offline_with_a_login_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main(["dashboard"]) == 0
    assert "not saved" in capsys.readouterr().out
