"""Logs of a stage that was started several times."""

import json
from pathlib import Path

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.stages.logs import open_logs, read_logs


def log(environment: dict[str, str], start: str, *steps: int, torn: str = "") -> None:
    """Log as verl's file logger does: it truncates the file, then writes a line per step."""
    rows = [json.dumps({"step": step, "data": {"start": start}}) + "\n" for step in steps]
    Path(environment["VERL_FILE_LOGGER_PATH"]).write_text("".join(rows) + torn)


def test_each_step_once_over_three_starts(tmp_path: Path) -> None:
    # Checkpoints after steps 2 and 4: the second start resumes from 2; the third, which is killed at once, from 4.
    log(open_logs(tmp_path), "first", 0, 1, 2, 3, torn='{"step": 4, "da')
    log(open_logs(tmp_path), "second", 3, 4, 5)
    assert [(row["step"], row["data"]["start"]) for row in read_logs(tmp_path, "train")] == [
        *((step, "first") for step in (0, 1, 2)),
        *((step, "second") for step in (3, 4, 5)),
    ]
    log(open_logs(tmp_path), "third")
    log(open_logs(tmp_path), "fourth", 5, 6)
    rows = read_logs(tmp_path, "train")
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5, 6]
    assert [row["data"]["start"] for row in rows[3:]] == ["second", "second", "fourth", "fourth"]
    assert {row["stage"] for row in rows} == {"train"}


def test_a_validation_after_a_resume_adds_to_the_metrics_of_the_checkpoints_step(tmp_path: Path) -> None:
    def write(*rows: tuple[int, dict[str, float]]) -> None:
        lines = [json.dumps({"step": step, "data": data}) + "\n" for step, data in rows]
        Path(open_logs(tmp_path)["VERL_FILE_LOGGER_PATH"]).write_text("".join(lines))

    write((1, {"tokens": 10.0, "corr": 0.99}), (2, {"tokens": 20.0, "corr": 0.90, "val": 0.5}), (3, {"tokens": 30.0}))
    # The checkpoint is of step 2. verl validates there, then trains step 3 again.
    write((2, {"val": 0.6}), (3, {"tokens": 31.0, "corr": 0.98}))
    assert [(row["step"], row["data"]) for row in read_logs(tmp_path, "train")] == [
        (1, {"tokens": 10.0, "corr": 0.99}),
        (2, {"tokens": 20.0, "corr": 0.90, "val": 0.6}),
        (3, {"tokens": 31.0, "corr": 0.98}),
    ]


def test_more_than_ten_starts_stay_in_order(tmp_path: Path) -> None:
    for start in range(12):
        log(open_logs(tmp_path), str(start), start)
    assert [row["data"]["start"] for row in read_logs(tmp_path, "train")] == [str(start) for start in range(12)]


def test_a_stage_that_never_started_has_no_logs(tmp_path: Path) -> None:
    assert read_logs(tmp_path / "nothing", "train") == []


def test_one_wandb_run_over_all_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where .netrc would be
    first, second, other = open_logs(tmp_path / "a"), open_logs(tmp_path / "a"), open_logs(tmp_path / "b")
    assert first["WANDB_RUN_ID"] == second["WANDB_RUN_ID"] != other["WANDB_RUN_ID"]
    assert first["WANDB_RESUME"] == "allow"
    assert first["WANDB_MODE"] == "offline"  # no account
    assert first["WANDB_DIR"] == str(tmp_path / "a")
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert open_logs(tmp_path / "a")["WANDB_MODE"] == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert open_logs(tmp_path / "a")["WANDB_MODE"] == "disabled"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("oops", "not JSON"),
        ("[]", "not an object"),
        *(
            (line, "not a line of verl's file logger; remove it")
            for line in ('{"step": 1}', '{"step": "x", "data": {}}', '{"step": 1, "data": 2}')
        ),
    ],
)
def test_bad_log(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 0, "data": {{}}}}\n{line}\n')
    with pytest.raises(UsageError, match=rf"metrics\.jsonl:2: {complaint}"):
        read_logs(tmp_path, "train")
