"""The table that `gsr-rl eval` ends with: a line for each benchmark, K and round."""

from collections.abc import Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
HEAD = ("", "K", "n", "pass@1", "pass@K", "maj@K", "maj@K+1", "best@K", "selfref@K", "gap", "95 % interval")


def table(evaluations: Sequence[Mapping[str, Figures]]) -> str:
    """Of results of `all_metrics.evaluate`, each of another K; in per cent and points, without empty columns."""
    lines = [line for name in evaluations[0] for figures in evaluations for line in _lines(name, figures[name])]
    columns = [column for column in zip(HEAD, *lines, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    cells = [
        [cell.rjust(width) if i else cell.ljust(width) for cell in column]
        for i, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    return "\n".join("  ".join(row) for row in zip(*cells, strict=True))


def _lines(name: str, figures: Figures) -> list[tuple[str, ...]]:
    k, rounds = figures["k"], figures.get("rounds", {})
    first = _line(name, figures["n"], k, {key: figures.get(key) for key in _keys(k)}, figures)
    if not rounds:
        return [first]
    made = []
    for number, one in rounds.items():
        values = {key: one[key]["value"] if key in one else None for key in _keys(k)}
        gap = one["refinement_gap"]
        made.append(_line(f"{name}, round {number}", figures["n"], k, values, gap))
    return made


def _keys(k: int) -> tuple[str, ...]:
    return ("pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"bon@{k}", f"selfref@{k}", "refinement_gap")


def _line(name: str, n: int, k: int, values: Mapping[str, float | None], ends: Figures) -> tuple[str, ...]:
    *rates, gap = values.values()
    shares = ["" if rate is None else f"{100 * rate:.1f}" for rate in rates]
    interval = "" if gap is None else f"{100 * ends['ci_low']:+.1f} to {100 * ends['ci_high']:+.1f}"
    return (name, str(k), str(n), *shares, "" if gap is None else f"{100 * gap:+.1f}", interval)
