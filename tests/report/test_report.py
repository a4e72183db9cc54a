"""The report of a run: its numbers computed a second time from the episode files, and what the page says."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from gsr_rl.episode import Episode, Response, read_episodes, write_episodes
from gsr_rl.errors import UsageError
from gsr_rl.report import command as report
from gsr_rl.report.results import Evaluation
from gsr_rl.report.text import idle_steps, verdict

CORRELATION = "training/rollout_actor_probs_pearson_corr"


def responses(answers: str) -> tuple[Response, ...]:
    """One response per character: "0" is right, other digits are wrong, "-" is no answer."""
    return tuple(Response(f"text {a}", None if a == "-" else a, a == "0") for a in answers)


def episode(candidates: str, refinements: str = "", extra: str = "", id: str = "1", dataset: str = "toy") -> Episode:
    return Episode(id, dataset, "?", "0", responses(candidates), responses(refinements), responses(extra))


# K = 4, one refinement each and an extra candidate for maj@5
BASE = [
    episode("1111", "1", "1", id="a"),  # all wrong, agrees with the vote
    episode("0012", "1", "0", id="b"),  # vote right and lost
    episode("12-3", "0", "-", id="c"),  # all wrong and recovered, by an answer that no candidate has
    episode("0112", "0", "0", id="d"),  # vote wrong and fixed; with the extra one a tie of 0 and 1
]
SFT = [
    episode("0000", "0", "0", id="a"),
    episode("0001", "0", "0", id="b"),
    episode("1110", "0", "0", id="c"),
    episode("0011", "0", "0", id="d"),
]


def write_config(root: Path, seed: int = 7, **settings: str) -> None:
    """Write what `gsr-rl run` writes into its folder before the first stage."""
    root.mkdir(parents=True, exist_ok=True)
    OmegaConf.save({"recipe": "toy", "gsr": {"seed": seed}}, root / "config.yaml")
    (root / "run.json").write_text(json.dumps({"gsr.seed": str(seed), **settings}))


def write_log(root: Path, stage: str, rows: list[tuple[int, dict[str, float]]], tail: str = "") -> None:
    (root / stage).mkdir(parents=True)
    lines = [json.dumps({"step": step, "data": data}) + "\n" for step, data in rows]
    (root / stage / "metrics.jsonl").write_text("".join(lines) + tail)


def train_step(reward: float, correlation: float) -> dict[str, float]:
    return {
        "gsr/train/candidate/reward": reward,
        "gsr/train/refinement/reward": reward / 2,
        "gsr/train/candidate/response_length": 9.0,
        "gsr/train/candidate/no_signal_groups": 1.0,
        "gsr/train/refinement/no_signal_groups": 1.0 if reward == 0.5 else 0.75,
        "gsr/train/idle_steps": 1 if reward == 0.5 else 0,
        CORRELATION: correlation,
    }


def make_run(root: Path) -> Path:
    """A run with two evaluated stages, and logs of sft and train."""
    write_config(root)
    write_episodes(root / "episodes" / "base.jsonl", BASE)
    write_episodes(root / "episodes" / "sft.jsonl", SFT)
    write_log(root, "sft", [(1, {"train/loss": 2.0}), (2, {"train/loss": 1.0})])
    steps = [(1, train_step(0.25, 0.999)), (2, train_step(0.5, 0.991)), (3, train_step(0.75, 0.998))]
    write_log(root, "train", [(0, {"gsr/val/toy/maj@4": 0.5}), *steps], tail='{"step": 4, "da')
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with its report, for tests that only read."""
    root = make_run(tmp_path_factory.mktemp("run"))
    report.main([str(root)])
    return root


def test_base_by_hand() -> None:
    entry = Evaluation.of("base", BASE).entry()
    assert list(entry) == [
        "name", "n", "k", "pass@1", "pass@4", "maj@4", "maj@5", "selfref@4", "refinement_gap", "ci_low", "ci_high",
        "all_wrong_n", "all_wrong_recovery", "right_to_wrong", "wrong_to_right",
        "agrees_with_majority", "agrees_with_none", "direct_again", "selfref_swapped@4", "swapped_n",
    ]  # fmt: skip
    assert entry["ci_low"] < entry["refinement_gap"] < entry["ci_high"]
    assert {key: value for key, value in entry.items() if not key.startswith("ci_")} == pytest.approx(
        {
            "name": "base",
            "n": 4,
            "k": 4,
            "pass@1": (0 + 2 / 4 + 0 + 1 / 4) / 4,
            "pass@4": 2 / 4,
            "maj@4": 1 / 4,
            "maj@5": (0 + 1 + 0 + 1 / 2) / 4,
            "selfref@4": 2 / 4,
            "refinement_gap": 1 / 4,
            "all_wrong_n": 2,
            "all_wrong_recovery": 1 / 2,
            "right_to_wrong": 1.0,
            "wrong_to_right": 2 / 3,
            "agrees_with_majority": 1 / 4,
            "agrees_with_none": 1 / 4,
            "direct_again": 2 / 4,
            "selfref_swapped@4": None,
            "swapped_n": 0,
        }
    )


def majority(answers: list[str | None]) -> float:
    """Share of "0" among the most frequent answers: the vote of these one-character answers."""
    votes = Counter(answer for answer in answers if answer is not None)
    tied = [answer for answer, n in votes.items() if n == max(votes.values())]
    return tied.count("0") / max(len(tied), 1)


def test_report_json_is_recomputed_from_the_episode_files(reported: Path) -> None:
    written = json.loads((reported / "report.json").read_text())
    assert [stage["name"] for stage in written["stages"]] == ["base", "sft"]
    for stage in written["stages"]:
        rows = read_episodes(reported / "episodes" / f"{stage['name']}.jsonl")
        n = len(rows)
        flags = [[response.correct for response in row.candidates] for row in rows]
        votes = [majority([response.answer for response in row.candidates]) for row in rows]
        five = [majority([response.answer for response in row.candidates + row.extra_candidates]) for row in rows]
        refined = [row.refinements[0].correct for row in rows]
        assert stage["pass@1"] == pytest.approx(sum(sum(flag) / 4 for flag in flags) / n)
        assert stage["pass@4"] == pytest.approx(sum(any(flag) for flag in flags) / n)
        assert stage["maj@4"] == pytest.approx(sum(votes) / n)
        assert stage["maj@5"] == pytest.approx(sum(five) / n)
        assert stage["selfref@4"] == pytest.approx(sum(refined) / n)
        assert stage["refinement_gap"] == pytest.approx((sum(refined) - sum(votes)) / n)
        assert stage["all_wrong_n"] == sum(not any(flag) for flag in flags)


def test_run_facts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.main([str(folder)])
    written = json.loads((folder / "report.json").read_text())
    assert (written["seed"], written["wall_s"], written["peak_rss_gb"]) == (7, None, None)
    assert written["rollout_actor_corr_min"] == 0.991
    (folder / "usage.json").write_text('{"wall_s": 600.0, "peak_rss_gb": 9.5}')
    report.main([str(folder)])
    written = json.loads((folder / "report.json").read_text())
    assert (written["wall_s"], written["peak_rss_gb"]) == (600.0, 9.5)
    out = capsys.readouterr().out
    assert all(str(folder / f"report.{kind}") in out for kind in ("html", "md", "json"))
    assert "10 minutes; at most 9.5 GB of memory" in (folder / "report.md").read_text()


def test_other_files(reported: Path) -> None:
    log = [json.loads(line) for line in (reported / "metrics.jsonl").read_text().splitlines()]
    # the line that is still being written is not there
    assert [(row["stage"], row["step"]) for row in log] == [("sft", 1), ("sft", 2), *(("train", i) for i in range(4))]
    assert log[0]["data"] == {"train/loss": 2.0}
    text = (reported / "report.md").read_text()
    for name in ("stages", "responses", "by_correct", "training"):
        assert (reported / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"(plots/{name}.png)" in text
    assert "(model/)" not in text  # nothing was trained
    assert "- In 1 of 3 steps all groups had equal rewards" in text


def test_idle_steps() -> None:
    idle, teaches = {"gsr/train/idle_steps": 1}, {"gsr/train/idle_steps": 0}
    validation = {"gsr/val/toy/maj@4": 0.5}

    def log(*data: dict[str, float]) -> list[dict[str, Any]]:
        return [{"stage": "train", "step": i, "data": values} for i, values in enumerate(data)]

    assert idle_steps(log(validation, idle, teaches))[0].startswith("In 1 of 2 steps")
    assert idle_steps(log(validation, teaches)) == idle_steps([]) == []


def test_page(reported: Path) -> None:
    text = (reported / "report.md").read_text()
    assert "| gsr/train/candidate/reward | 0.25 (step 1) | 0.5 (step 2) | 0.75 (step 3) |" in text
    cells = rows_of(text)
    assert [cell.split(" (")[0] for cell in cells["maj@5: a vote with as many responses as selfref@4"]] == [
        "37.5 %",
        "75.0 %",
    ]
    assert [cell.split(" (")[0] for cell in cells["**Refinement Gap: selfref@4 - maj@4, points**"]] == [
        "+25.0",
        "+37.5",
    ]
    assert [cell.split(" (")[0] for cell in cells["selfref@4 - maj@5, points"]] == ["+12.5", "+25.0"]
    # base: c and d for, b against; of a vote that is wrong anyway nothing hangs
    assert cells["problems that decide the gap: for and against"] == ["2 and 1", "2 and 0"]
    assert cells["0"][0].startswith("50.0 % (") and cells["0"][0].endswith(" of 2") and cells["0"][1] == "-"
    assert cells["1"][0].startswith("100.0 % (") and cells["1"][0].endswith(" of 1")
    assert "### Vote wrong, and fixed\n\nProblem `c`" in text  # of sft, the last that was evaluated


def rows_of(text: str) -> dict[str, list[str]]:
    """The rows of all tables of a Markdown page, by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n") if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def test_by_the_number_of_responses(reported: Path) -> None:
    text = (reported / "report.md").read_text()
    # base: pools 11111, 00120, 12-3-, 01120 with 0, 3, 0, 2 right of five
    by_k = next(line for line in text.split("\n") if line.startswith("| base | pass@k"))
    pass_2 = (0 + (1 - 1 / 10) + 0 + (1 - 3 / 10)) / 4
    assert [cell.strip() for cell in by_k.strip("|").split("|")][2:4] == ["25.0 %", f"{100 * pass_2:.1f} %"]


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.01, 0.05, "the refinement beats the vote over the same candidates: a gap of +3.0 points"),
        (-0.01, 0.05, "a gap has not been shown: a gap of +2.0 points, interval -1.0 to +5.0, which includes 0"),
        (0.0, 0.05, "a gap has not been shown"),
        (-0.05, -0.01, "the refinement is worse than the vote"),
        (None, None, "no refinements, so no gap"),
    ],
)
def test_honest_about_the_gap(low: float | None, high: float | None, says: str) -> None:
    gap = None if low is None or high is None else (low + high) / 2
    measured = Evaluation.of("sft", SFT)
    assert says in verdict(
        replace(measured, mean={**measured.mean, "refinement_gap": gap, "ci_low": low, "ci_high": high})
    )


def test_different_problems_are_said_to_be_so(folder: Path) -> None:
    assert "different problems" not in _text(folder)
    write_episodes(folder / "episodes" / "sft.jsonl", SFT[:3])
    assert "different problems" in _text(folder)


def _text(folder: Path) -> str:
    report.main([str(folder)])
    return (folder / "report.md").read_text(encoding="utf-8")


def test_text_of_a_model_cannot_break_the_page(folder: Path) -> None:
    wild = Response("```\n# not a heading\n```` \ud800", "1", False)
    row = Episode("a", "toy", "?", "0", (wild,) * 4, (wild,))
    write_episodes(folder / "episodes" / "sft.jsonl", [row])
    assert "`````text\n```\n# not a heading\n```` \\ud800\n`````" in _text(folder)


def test_base_alone_without_refinements(tmp_path: Path) -> None:
    write_episodes(tmp_path / "episodes" / "base.jsonl", [episode("01"), episode("11", id="2")])
    text = _text(tmp_path)
    (only,) = json.loads((tmp_path / "report.json").read_text())["stages"]
    assert (only["maj@2"], only["maj@3"], only["selfref@2"], only["agrees_with_none"]) == (0.25, None, None, None)
    assert "## Training" not in text
    assert "## Episodes" not in text


def test_several_datasets_count_the_same() -> None:
    rows = [episode("00", "0", dataset="x"), *(episode("11", "2", dataset="y", id=str(i)) for i in range(3))]
    entry = Evaluation.of("base", rows).entry()
    assert (entry["n"], entry["all_wrong_n"]) == (4, 3)
    assert (entry["pass@1"], entry["agrees_with_majority"], entry["agrees_with_none"]) == (0.5, 0.5, 0.5)


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no episodes/NAME.jsonl .* `gsr-rl run recipe=... run_dir=.*` makes them"):
        report.main([str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_models_of_different_k_stand_side_by_side(folder: Path) -> None:
    write_episodes(folder / "episodes" / "other.jsonl", [episode("01", "0")])
    report.main([str(folder)])
    stages = json.loads((folder / "report.json").read_text())["stages"]
    assert [stage["k"] for stage in stages] == [4, 4, 2]
    assert (stages[2]["maj@2"], stages[2]["selfref@2"]) == (0.5, 1.0)
    cells = rows_of((folder / "report.md").read_text())
    assert cells["candidates of a problem (K)"] == ["4", "4", "2"]
    assert cells["maj@K: the candidates' vote"][2].startswith("50.0 %")


def test_sets_that_do_not_go_together(folder: Path) -> None:
    write_episodes(folder / "episodes" / "grpo.jsonl", [episode("01", "0"), episode("010", "0")])
    with pytest.raises(UsageError, match=r"episodes/grpo.jsonl: rows have 2 to 3 candidates"):
        report.main([str(folder)])


def test_what_training_has_changed(reported: Path) -> None:
    (change,) = json.loads((reported / "report.json").read_text())["selfref_changes"]
    # base: 0, 0, 1, 1; sft: 1, 1, 1, 1
    assert (change["from"], change["to"], change["n"], change["change"]) == ("base", "sft", 4, 0.5)
    assert -0.5 < change["ci_low"] < 0.5 < change["ci_high"] <= 1  # of four problems, two of which moved
    assert "selfref from base to sft: +50.0 points" in (reported / "report.md").read_text()


@pytest.mark.parametrize(
    ("origin", "started_from"),
    [
        ("sft", {"sft": "base", "grpo": "sft"}),
        # A warm-up is not evaluated; the base model that it started from is.
        ("warmup", {"sft": "base", "grpo": "base"}),
        ("base", {"sft": "base", "grpo": "base"}),
        ("given", {"sft": "base"}),
    ],
)
def test_a_training_is_compared_with_the_model_that_it_started_from(
    folder: Path, origin: str, started_from: dict[str, str]
) -> None:
    write_episodes(folder / "episodes" / "grpo.jsonl", SFT)
    (folder / "train").mkdir(exist_ok=True)
    record = {"settings": {}, "inputs": {"model": f"{origin}, 0123"}, "versions": {}}
    (folder / "train" / "record.json").write_text(json.dumps(record))
    report.main([str(folder)])
    written = json.loads((folder / "report.json").read_text())
    assert written["started_from"] == started_from
    assert {step["to"]: step["from"] for step in written["selfref_changes"]} == started_from
    said = f"selfref from {origin if origin == 'sft' else 'base'} to grpo"
    assert (said in (folder / "report.md").read_text()) == (origin != "given")


def test_a_folder_without_configuration_is_reported_on_too(tmp_path: Path) -> None:
    write_episodes(tmp_path / "mine" / "episodes" / "base.jsonl", BASE)
    report.main([str(tmp_path / "mine"), "--out", str(tmp_path / "page")])
    assert json.loads((tmp_path / "page" / "report.json").read_text())["seed"] is None
    assert (tmp_path / "page" / "report.md").read_text().startswith("# mine\n")
    assert not (tmp_path / "mine" / "report.json").exists()


# --- several runs -----------------------------------------------------------------------------------------------------


def runs(root: Path, *settings: dict[str, str]) -> list[str]:
    """Runs with the seeds 0, 1, ...; the refinements of run 0 are those of SFT, of the others those of BASE."""
    for seed, own in enumerate(settings):
        write_config(root / f"run-{seed}", seed, **own)
        write_episodes(root / f"run-{seed}" / "episodes" / "sft.jsonl", BASE if seed else SFT)
    return [str(root / f"run-{seed}") for seed in range(len(settings))]


def test_repeats_are_pooled_by_problem(tmp_path: Path) -> None:
    folders = runs(tmp_path, {"gsr.k": "4"}, {"gsr.k": "4"})
    write_log(tmp_path / "run-1", "sft", [(1, {"train/global_tokens": 90}), (2, {"train/global_tokens": 60})])
    report.main([*folders, "--out", str(tmp_path / "all")])
    written = json.loads((tmp_path / "all" / "report.json").read_text())
    (repeats,) = written["pooled"]
    assert (repeats["name"], repeats["runs"]) == ("run-0 and 1 more", ["run-0", "run-1"])
    (pooled,) = repeats["stages"]
    assert (pooled["n"], pooled["all_wrong_n"]) == (4, 2)  # problems, not rows; sets
    assert pooled["selfref@4"] == pytest.approx((1 + 1 / 2) / 2)
    assert pooled["maj@4"] == pytest.approx(((1 + 1 + 0 + 1 / 2) / 4 + 1 / 4) / 2)
    assert [(run["name"], run["seed"], run["sft_tokens"], run["grpo_tokens"]) for run in written["runs"]] == [
        ("run-0", 0, None, None),
        ("run-1", 1, 150, None),
    ]
    text = (tmp_path / "all" / "report.md").read_text()
    assert "run-0 and 1 more together" in text
    assert "| run-1 | 1 | sft | 4 | 18.8 % |" in text
    assert (tmp_path / "all" / "plots" / "stages.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_different_configurations_are_not_pooled(tmp_path: Path) -> None:
    report.main([*runs(tmp_path, {"gsr.k": "4"}, {"gsr.k": "5"}), "--out", str(tmp_path / "all")])
    assert json.loads((tmp_path / "all" / "report.json").read_text())["pooled"] == []
    assert "together" not in (tmp_path / "all" / "report.md").read_text()


def test_differences_to_the_first_run(tmp_path: Path) -> None:
    folders = runs(tmp_path, {"gsr.k": "4"}, {"gsr.k": "5"})
    for folder in folders:
        write_episodes(Path(folder) / "episodes" / "base.jsonl", BASE)  # the same in both: nothing to compare
    report.main([*folders, "--out", str(tmp_path / "all")])
    (row,) = json.loads((tmp_path / "all" / "report.json").read_text())["differences"]
    assert (row["run"], row["name"]) == ("run-1", "sft")
    changes = {key: value["change"] for key, value in row.items() if isinstance(value, dict)}
    pass_1 = (0 + 2 / 4 + 0 + 1 / 4) / 4 - (1 + 3 / 4 + 1 / 4 + 2 / 4) / 4
    maj_4 = (0 + 1 + 0 + 0) / 4 - (1 + 1 + 0 + 1 / 2) / 4
    maj_5, sft_maj_5 = (0 + 1 + 0 + 1 / 2) / 4, (1 + 1 + 0 + 1) / 4
    expected = {
        "pass@1": pass_1,
        "maj@k": maj_4,
        "maj@k+1": maj_5 - sft_maj_5,
        "selfref@k": 1 / 2 - 1,
        "rival": 1 - maj_5,
    }
    assert changes == pytest.approx(expected)
    text = (tmp_path / "all" / "report.md").read_text()
    assert "selfref@K of run-0 - maj@(K+1) of the run" in text
    cells = next(line for line in text.split("\n") if line.startswith("| run-1 | sft | 4 | -43.8 ("))
    assert [cell.split(" (")[0] for cell in cells.split(" | ")[4:]] == ["-37.5", "-37.5", "-50.0", "+62.5"]


def test_repeats_are_compared_with_repeats(tmp_path: Path) -> None:
    folders = runs(tmp_path, {"gsr.k": "4"}, {"gsr.k": "4"})
    for seed, episodes in enumerate((BASE, BASE)):
        write_config(tmp_path / f"run-{seed}" / "direct", seed, **{"gsr.k": "5"})
        write_episodes(tmp_path / f"run-{seed}" / "direct" / "episodes" / "sft.jsonl", episodes)
    report.main([*folders, *(f"{folder}/direct" for folder in folders), "--out", str(tmp_path / "all")])
    written = json.loads((tmp_path / "all" / "report.json").read_text())
    assert [entry["name"] for entry in written["runs"]] == ["run-0", "run-1", "run-0/direct", "run-1/direct"]
    assert [entry["name"] for entry in written["pooled"]] == ["run-0 and 1 more", "run-0/direct and 1 more"]
    (row,) = written["differences"]
    assert (row["run"], row["selfref@k"]["n"]) == ("run-0/direct and 1 more", 4)
    # the first refine SFT once and BASE once, those in direct BASE twice
    assert row["selfref@k"]["change"] == pytest.approx(1 / 2 - (1 + 1 / 2) / 2)
    text = (tmp_path / "all" / "report.md").read_text()
    assert "## run-0/direct and 1 more together" in text


def test_repeats_are_not_compared(tmp_path: Path) -> None:
    report.main([*runs(tmp_path, {"gsr.k": "4"}, {"gsr.k": "4"}), "--out", str(tmp_path / "all")])
    assert json.loads((tmp_path / "all" / "report.json").read_text())["differences"] == []
    assert "Differences to" not in (tmp_path / "all" / "report.md").read_text()


def test_several_runs_need_a_place_and_names(tmp_path: Path) -> None:
    first, second = runs(tmp_path, {}, {})
    with pytest.raises(UsageError, match="--out: missing"):
        report.main([first, second])
    with pytest.raises(UsageError, match="run-0 is given twice"):
        report.main([first, first, "--out", str(tmp_path / "all")])
