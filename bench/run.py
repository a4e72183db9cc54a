"""Every bench that compares, one after the other, and their figures in one table.

    python bench/run.py [--only NAME ...] [--results bench/results]

Each figure is a ratio of two things measured side by side in one run, or a rate that belongs beside such a ratio.
Measure with nothing beside it. The results are `<date>-<commit>.json`, with the machine, and the same as a table in
`.md`. If it was interrupted, the same command goes on with the benches that have no figures yet.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.settings.cpu_dtype import fast_dtype, processor

BENCH = Path(__file__).parent
DEADLINE_S = 3600.0


@dataclass(frozen=True)
class Bench:
    """A script, its arguments, the memory that it needs at most, and what it measures."""

    arguments: tuple[str, ...]
    gigabytes: float
    what: str


def benches() -> dict[str, Bench]:
    """Name -> bench, in the order in which they run: those that need a model come last."""
    dtype = {"bfloat16": "bf16", "float32": "fp32"}[fast_dtype()]
    return {
        "verifier": Bench(("verifier_speed.py",), 2, "verdicts by this verifier and by verl's"),
        "hanging": Bench(("verifier_hang.py", "--n", "1000", "--hostile", "40"), 2, "hostile responses among others"),
        "votes": Bench(("votes.py",), 1, "majority votes"),
        "metrics": Bench(("metrics_speed.py",), 2, "`gsr-rl metrics` on 20,000 responses"),
        "overlap": Bench(("overlap.py",), 2, "decontamination"),
        "teacher": Bench(("teach_speed.py",), 2, "the client of teachers and servers"),
        "control": Bench(("control_plane.py", "--rows", "64", "512", "4096"), 8, "loops, rewards and queue, no model"),
        "shared": Bench(("shared_prefix.py", "--dtype", dtype), 6, "a GRPO step's log-probs and update"),
        "rollout": Bench(("rollout_speed.py",), 12, "the rollout inside verl, vLLM's offline engine, a barrier"),
        "eval": Bench(("eval_throughput.py", "--problems", "32"), 8, "`gsr-rl eval` and vLLM's offline engine"),
    }


def main() -> int:
    made = benches()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(made), metavar="NAME")
    parser.add_argument("--results", type=Path, default=BENCH / "results")
    options = parser.parse_args()
    chosen = {name: made[name] for name in options.only or made}
    try:
        check_memory(chosen)
        run_all(chosen, options.results)
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def check_memory(chosen: dict[str, Bench]) -> None:
    """Refuse, before the first bench, what the machine's free memory cannot hold."""
    free = psutil.virtual_memory().available / 2**30
    for name, bench in chosen.items():
        if bench.gigabytes > free:
            raise UsageError(
                f"{name}: needs {bench.gigabytes:g} GiB of memory, {free:.1f} are free; leave it out with --only"
            )


def run_all(chosen: dict[str, Bench], folder: Path) -> None:
    """Run the benches that have no figures of this commit yet, and write results and table after each."""
    path = max(folder.glob(f"*-{commit()}.json"), default=folder / f"{date.today()}-{commit()}.json")
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"machine": machine(), "figures": {}}
    for number, (name, bench) in enumerate(chosen.items(), 1):
        head = f"bench {number} of {len(chosen)}: {name}"
        if name in results["figures"]:
            print(f"{head}: in {path} already", flush=True)
            continue
        print(f"{head}: {bench.what}", flush=True)
        start = time.monotonic()
        results["figures"][name] = figures_of(bench)
        print(f"{head}: {time.monotonic() - start:.0f} s", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in ((path, json.dumps(results, indent=1) + "\n"), (path.with_suffix(".md"), table(results))):
            with replacing(file) as temporary:
                temporary.write_text(text)
    print(f"bench: {path.with_suffix('.md')}", flush=True)


def figures_of(bench: Bench) -> list[dict[str, Any]]:
    """The figures that a bench gives, run in a process of its own.

    Raises:
        UsageError: it failed, or took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "figures.jsonl")
        path.touch()
        command = [sys.executable, str(BENCH / bench.arguments[0]), *bench.arguments[1:]]
        try:
            done = subprocess.run(command, env={**os.environ, "GSR_RL_FIGURES": str(path)}, timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise UsageError(f"{bench.arguments[0]}: did not end within {DEADLINE_S:.0f} s") from None
        if done.returncode:
            raise UsageError(f"{bench.arguments[0]}: failed, see above; the same command tries again")
        return [json.loads(line) for line in path.read_text().splitlines()]


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    core, wanted = processor(), ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    flags = [flag for flag in wanted if flag in core.get("flags", "").split()]
    return {
        "processor": f"{core.get('model name', 'unknown')} ({', '.join(flags)})",
        "cores": psutil.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "commit": commit(),
        "date": str(date.today()),
        "load before the start": psutil.getloadavg()[0],
    }


def commit() -> str:
    """The commit of this checkout, short, with a plus if files differ from it."""
    text = subprocess.run(
        ["git", "-C", str(BENCH), "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return text or "unknown"


def table(results: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [", ".join(f"{key}: {value}" for key, value in results["machine"].items()), ""]
    lines += ["| bench | figure | value |", "| --- | --- | ---: |"]
    for name, figures in results["figures"].items():
        lines += [f"| {name} | {row['name']} | {row['value']:.3g} {row['unit']} |" for row in figures]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
