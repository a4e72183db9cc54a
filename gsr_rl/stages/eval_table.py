"""The table at the end of `gsr-rl eval`: a line for each benchmark, K and round."""

from collections.abc import Mapping, Sequence

from gsr_rl.metrics.all_metrics import Results

HEAD = ("", "K", "n", "pass@1", "pass@K", "maj@K", "maj@K+1", "best@K", "selfref@K", "gap", "95 % interval")


def table(evaluations: Sequence[Mapping[str, Results]]) -> str:
    """The table as text: rates in per cent, gaps in points, without empty columns.

    Where no response has an answer, a line below says so.

    Args:
        evaluations: results of `all_metrics.evaluate`, each for another K.
    """
    lines = [line for name in evaluations[0] for results in evaluations for line in _lines(name, results[name])]
    columns = [column for column in zip(HEAD, *lines, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    cells = [
        [cell.rjust(width) if i else cell.ljust(width) for cell in column]
        for i, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    lines_of_text = ["  ".join(row) for row in zip(*cells, strict=True)]
    for name, results in evaluations[0].items():
        if "no_vote" in results:
            lines_of_text.append(f"{name}: {results['no_vote']}")
    return "\n".join(lines_of_text)


def _lines(name: str, results: Results) -> list[tuple[str, ...]]:
    k, rounds = results["k"], results.get("rounds", {})
    first = _line(name, results["n"], k, {key: results.get(key) for key in _keys(k)}, results)
    if not rounds:
        return [first]
    lines = []
    for number, estimates in rounds.items():
        values = {key: estimates[key]["value"] if key in estimates else None for key in _keys(k)}
        gap = estimates["refinement_gap"]
        lines.append(_line(f"{name}, round {number}", results["n"], k, values, gap))
    return lines


def _keys(k: int) -> tuple[str, ...]:
    return ("pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"bon@{k}", f"selfref@{k}", "refinement_gap")


def _line(name: str, n: int, k: int, values: Mapping[str, float | None], ends: Results) -> tuple[str, ...]:
    *rates, gap = values.values()
    shares = ["" if rate is None else f"{100 * rate:.1f}" for rate in rates]
    interval = "" if gap is None else f"{100 * ends['ci_low']:+.1f} to {100 * ends['ci_high']:+.1f}"
    return (name, str(k), str(n), *shares, "" if gap is None else f"{100 * gap:+.1f}", interval)
