"""`gsr-rl metrics`: all statistics of a file of episodes, whichever program wrote it.

gsr-rl metrics --episodes FILE.jsonl [--json OUT.json] [--k K]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gsr_rl.episode import Episode, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.files import write_json
from gsr_rl.metrics.all_metrics import Results, evaluate
from gsr_rl.metrics.import_episodes import RowImporter


def main(arguments: Sequence[str]) -> None:
    """Run the tool.

    Raises:
        UsageError: the file cannot be read, a row is no episode, or rows do not belong together; names file and row,
            and says how to fix it.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl metrics", description="All statistics of a file of episodes.")
    parser.add_argument("--episodes", metavar="FILE.jsonl", required=True, help="rows as in docs/metrics.md")
    parser.add_argument("--json", metavar="OUT.json", help="write the statistics there")
    parser.add_argument(
        "--k", type=int, metavar="K", help="size of the candidate sets; by default the size that all rows have"
    )
    options = parser.parse_args(arguments)
    importer = RowImporter()
    episodes = _read(options.episodes, importer)
    try:
        result = evaluate(episodes, options.k)
    except UsageError as error:
        raise UsageError(f"{options.episodes}: {error}") from error
    for dataset, results in result.items():
        print(f"{dataset}: {_line(results)}")
    for remark in _remarks(importer, episodes):
        print(f"gsr-rl metrics: {remark}", file=sys.stderr)
    if options.json:
        write_json(options.json, result)
        print(f"gsr-rl metrics: statistics in {options.json}")


def _read(path: str | Path, importer: RowImporter) -> list[Episode]:
    """The episodes of a file, with a progress bar if it takes long, as judging may."""
    with tqdm(desc="gsr-rl metrics", unit=" rows", delay=5, mininterval=5) as bar:

        def fill_in(row: dict[str, Any]) -> dict[str, Any]:
            filled = importer(row)
            bar.set_postfix(judged=importer.judged, refresh=False)
            bar.update()
            return filled

        return read_episodes(path, fill_in)


def _line(results: Results) -> str:
    k = results["k"]
    names = ["pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}"]
    rates = ", ".join(f"{name} {100 * results[name]:.1f} %" for name in names if results[name] is not None)
    text = f"{results['n']} problems, {results['sets']} sets of {k}: {rates}"
    if results["refinement_gap"] is None and "no_vote" in results:
        return f"{text}; {results['no_vote']}"
    if results["refinement_gap"] is None:
        return f"{text}; no refinements of {k} candidates, so no gap"
    gap, low, high = (100 * results[key] for key in ("refinement_gap", "ci_low", "ci_high"))
    decided = f"{results['decided_n']} problems decide it, {results['decided_for_n']} of them for the refinement"
    return f"{text}; gap {gap:+.1f} points ({low:+.1f} to {high:+.1f}); {decided}"


def _remarks(importer: RowImporter, episodes: Sequence[Episode]) -> list[str]:
    """What a reader of the statistics should know about the rows behind them."""
    remarks = []
    if importer.extracted or importer.judged:
        remarks.append(
            f"{importer.extracted} answers were extracted from texts, {importer.judged} responses were judged"
        )
    if importer.timeouts:
        remarks.append(f"{importer.timeouts} responses count as wrong because comparing them took too long")
    if importer.bad_golds:
        remarks.append(
            f"{importer.bad_golds} responses count as wrong because their gold answer cannot be parsed; "
            "`gsr-rl verify --golds FILE` lists such golds"
        )
    pairs = {(episode.model, episode.refiner) for episode in episodes}
    if len(pairs) > 1:
        remarks.append(
            f"rows of {len(pairs)} pairs of model and refiner count as repeats; give each pair a file of its own"
        )
    return remarks
