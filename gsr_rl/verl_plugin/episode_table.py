"""Whole episodes of a validation as a W&B table."""

from collections.abc import Sequence
from typing import Any

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.voting import majority_score, plurality

TABLE = "gsr/val/episodes"


def log_episodes(episodes: Sequence[Episode], step: int) -> None:
    """Log `TABLE` to the W&B run that verl has started in this process; without one, do nothing."""
    import wandb

    if wandb.run is not None:
        columns, rows = episode_table(episodes)
        # Not committed: verl logs the metrics of this step next.
        wandb.run.log({TABLE: wandb.Table(columns=columns, data=rows)}, step=step, commit=False)


def episode_table(episodes: Sequence[Episode]) -> tuple[list[str], list[list[Any]]]:
    """Columns, and a row an episode: problem, each candidate with its verdict, the vote, each refinement likewise."""
    k = max(len(episode.candidates) for episode in episodes)
    m = max(len(episode.refinements) for episode in episodes)
    names = [*(f"candidate {i}" for i in range(1, k + 1)), *(f"refinement {i}" for i in range(1, m + 1))]
    with_verdict = [column for name in names for column in (name, f"{name} verdict")]
    cut = 4 + 2 * k
    columns = ["dataset", "id", "problem", "gold", *with_verdict]
    columns[cut:cut] = ["majority answer", "majority score"]
    rows = []
    for one in episodes:
        row: list[Any] = [one.dataset, one.id, one.problem, one.gold, *_cells(one.candidates, k)]
        rows.append([*row, _majority(one), _score(one), *_cells(one.refinements, m)])
    return columns, rows


def _cells(responses: Sequence[Response], width: int) -> list[str | None]:
    cells: list[str | None] = []
    for response in responses:
        cells += [response.text, "right" if response.correct else "wrong"]
    return cells + [None] * (2 * width - len(cells))


def _majority(episode: Episode) -> str:
    """The most frequent answer; several where they tie."""
    answers = [one.answer for one in episode.candidates]
    return " | ".join(str(answers[members[0]]) for members in plurality(answers))


def _score(episode: Episode) -> float:
    return majority_score([one.answer for one in episode.candidates], [one.correct for one in episode.candidates])
