"""Whole episodes of a validation, as a W&B table."""

from collections.abc import Sequence
from typing import Any

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.logged import TABLE
from gsr_rl.metrics.voting import majority_score_of, plurality


def log_episodes(episodes: Sequence[Episode], step: int) -> None:
    """Log `TABLE` to the W&B run that verl has started in this process. Without a run, do nothing."""
    import wandb

    if wandb.run is not None:
        columns, rows = episode_table(episodes)
        # Not committed, because verl logs the metrics of this step next.
        wandb.run.log({TABLE: wandb.Table(columns=columns, data=rows)}, step=step, commit=False)


def episode_table(episodes: Sequence[Episode]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of the table, one row per episode.

    A row holds the problem, each candidate with its verdict, the vote, and each refinement with its verdict. There are
    as many columns as the largest episode needs; a smaller episode leaves cells empty.
    """
    k = max(len(episode.candidates) for episode in episodes)
    m = max(len(episode.refinements) for episode in episodes)
    names = [*(f"candidate {i}" for i in range(1, k + 1)), *(f"refinement {i}" for i in range(1, m + 1))]
    with_verdict = [column for name in names for column in (name, f"{name} verdict")]
    cut = 4 + 2 * k
    columns = ["dataset", "id", "problem", "gold", *with_verdict]
    columns[cut:cut] = ["majority answer", "majority score"]
    rows = []
    for episode in episodes:
        problem = [episode.dataset, episode.id, episode.problem, episode.gold]
        vote = [_majority(episode), majority_score_of(episode.candidates)]
        rows.append([*problem, *_cells(episode.candidates, k), *vote, *_cells(episode.refinements, m)])
    return columns, rows


def _cells(responses: Sequence[Response], width: int) -> list[str | None]:
    cells: list[str | None] = []
    for response in responses:
        cells += [response.text, "right" if response.correct else "wrong"]
    return cells + [None] * (2 * width - len(cells))


def _majority(episode: Episode) -> str:
    """The most frequent answer, or all that tie."""
    answers = [candidate.answer for candidate in episode.candidates]
    return " | ".join(str(answers[members[0]]) for members in plurality(answers))
