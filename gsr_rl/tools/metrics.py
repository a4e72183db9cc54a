"""`gsr-rl metrics`: every figure from a file of episodes, whoever made it.

gsr-rl metrics --episodes FILE.jsonl [--json OUT.json] [--k K]
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from gsr_rl.episode import Episode, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.metrics.import_episodes import ForeignRows

_PROGRESS_EVERY = 5.0  # seconds


def main(arguments: Sequence[str]) -> None:
    """Run the tool.

    Raises:
        UsageError: the file cannot be read, a row is no episode, or rows do not go together; names file, row and mend.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl metrics", description="Every figure from a file of episodes.")
    parser.add_argument("--episodes", metavar="FILE.jsonl", required=True, help="rows as in docs/metrics.md")
    parser.add_argument("--json", metavar="OUT.json", help="write the figures there")
    parser.add_argument("--k", type=int, metavar="K", help="size of the candidate sets; by default what all rows have")
    options = parser.parse_args(arguments)
    rows = ForeignRows()
    episodes = read_episodes(options.episodes, _Progress(rows))
    try:
        result = evaluate(episodes, options.k)
    except UsageError as error:
        raise UsageError(f"{options.episodes}: {error}") from error
    for name, figures in result.items():
        print(f"{name}: {_line(figures)}")
    for remark in _remarks(rows, episodes):
        print(f"gsr-rl metrics: {remark}", file=sys.stderr)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
        print(f"gsr-rl metrics: figures in {options.json}")


class _Progress:
    """Fills in rows, and says how many are read if it takes long, as judging may."""

    def __init__(self, rows: ForeignRows) -> None:
        self._rows, self._read, self._last = rows, 0, time.monotonic()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        self._read += 1
        if time.monotonic() - self._last > _PROGRESS_EVERY:
            self._last = time.monotonic()
            print(f"gsr-rl metrics: {self._read} rows read, {self._rows.judged} responses judged", file=sys.stderr)
        return self._rows(row)


def _line(figures: dict[str, Any]) -> str:
    k = figures["k"]
    names = ["pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}"]
    rates = ", ".join(f"{name} {100 * figures[name]:.1f} %" for name in names if figures[name] is not None)
    text = f"{figures['n']} problems, {figures['sets']} sets of {k}: {rates}"
    if figures["refinement_gap"] is None:
        return f"{text}; no refinements of {k} candidates, so no gap"
    gap, low, high = (100 * figures[key] for key in ("refinement_gap", "ci_low", "ci_high"))
    decided = f"{figures['decided_n']} problems decide it, {figures['decided_for_n']} of them for the refinement"
    return f"{text}; gap {gap:+.1f} points ({low:+.1f} to {high:+.1f}); {decided}"


def _remarks(rows: ForeignRows, episodes: Sequence[Episode]) -> list[str]:
    """What the reader of the figures should know of how they came about."""
    remarks = []
    if rows.extracted or rows.judged:
        remarks.append(f"{rows.extracted} answers were taken from texts, {rows.judged} responses were judged")
    if rows.timeouts:
        remarks.append(f"{rows.timeouts} responses count as wrong because comparing them took too long")
    if rows.bad_golds:
        remarks.append(
            f"{rows.bad_golds} responses count as wrong because their gold cannot be read; "
            "`gsr-rl verify --golds FILE` names such golds"
        )
    pairs = {(one.model, one.refiner) for one in episodes}
    if len(pairs) > 1:
        remarks.append(f"rows of {len(pairs)} pairs of model and refiner count as repeats; give each pair its own file")
    return remarks
