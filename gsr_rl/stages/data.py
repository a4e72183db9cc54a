"""Stage `data`: the problems, settled, decontaminated and split disjointly, as JSONL and as verl's parquet."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from data_prep.deduplicate import deduplicate
from data_prep.difficulty import pass_rates, select
from data_prep.hub import check_source, evaluation_problems, load_set
from data_prep.knights import knights_knaves
from data_prep.overlap import EvaluationIndex
from data_prep.pair_sums import pair_sums
from data_prep.problems import load_problems, split_problems, write_problems
from data_prep.rows import write_rl_rows
from data_prep.sets import SETS
from data_prep.tables import write_jsonl
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError, require
from gsr_rl.files import replacing
from gsr_rl.settings.compose import typed_section
from gsr_rl.settings.gsr import ProblemsConfig
from gsr_rl.settings.run_folder import RunFolder
from rewards.pool import shared

SPLITS = ("train", "dev", "held_out")


def wanted_problems(config: DictConfig) -> ProblemsConfig:
    """The `problems:` section, typed and in range; UsageError names the key, what is wrong and the mend."""
    return typed_section(config, "problems", ProblemsConfig)


def check(config: DictConfig) -> ProblemsConfig:
    """As `wanted_problems`, and what it names is there.

    Raises:
        UsageError: no such set or file, or one that is not for training.
    """
    wanted = wanted_problems(config)
    if wanted.source != "pair_sums":
        check_source(wanted.source, "problems.source")
    named = SETS.get(wanted.source)
    trained = named is None or named.use == "training"
    require(trained, "problems.source", wanted.source, "a set or file to train on; this is an evaluation set")
    require(
        wanted.revision is None or named is not None, "problems.revision", wanted.revision, "null but for a named set"
    )
    for source in wanted.decontaminate:
        check_source(source, "problems.decontaminate")
    if wanted.difficulty is not None:
        there = Path(wanted.difficulty).is_file()
        require(there, "problems.difficulty", wanted.difficulty, "a file of episodes that is there")
    return wanted


def run(config: DictConfig) -> None:
    """Write `<run_dir>/data/{train,dev,held_out}.{jsonl,parquet}`, and what became of the problems in `report.json`."""
    wanted, folder = check(config), RunFolder.of(config)
    shared.wall_seconds = 120.0  # a busy machine makes no gold unreadable; processor time is limited all the same
    problems, report = _problems(wanted)
    if wanted.decontaminate:
        problems, report["decontaminated"] = _decontaminate(problems, wanted, folder.overlaps)
    splits = split_problems(problems, {split: getattr(wanted, split) for split in SPLITS}, wanted.seed)
    rates = pass_rates(wanted.difficulty) if wanted.difficulty else {}
    if wanted.difficulty:
        splits["train"], report["difficulty"] = _by_difficulty(
            splits["train"], rates, wanted, config.data.train_batch_size
        )
    report["splits"] = {split: len(part) for split, part in splits.items()}
    with replacing(folder.data / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for split in ("train", "held_out", "dev"):  # by dev.parquet the chain knows that all are there
        write_problems(folder.problems(split), splits[split])
        write_rl_rows(folder.rl_rows(split), splits[split], rates)
    print(
        f"gsr-rl data: {', '.join(f'{n} {split}' for split, n in report['splits'].items())} problems in {folder.data}"
    )


def _problems(wanted: ProblemsConfig) -> tuple[list[Problem], dict[str, Any]]:
    """The problems that may be used, and the report on where they come from and what was left out."""
    n = sum(getattr(wanted, split) for split in SPLITS)
    if wanted.source == "pair_sums":
        return pair_sums(n, seed=wanted.seed, numbers=wanted.numbers, largest=wanted.largest), {"origin": "generated"}
    if wanted.source == "knights_knaves":
        return knights_knaves(n, seed=wanted.seed, people=wanted.people), {"origin": "generated"}
    if wanted.source in SETS:
        loaded = load_set(wanted.source, revision=wanted.revision, mirror=wanted.mirror)
        report = {"origin": loaded.origin, "rows": loaded.rows, "left_out": dict(loaded.left_out)}
        problems = loaded.problems
        left_out = ", ".join(f"{n} {why}" for why, n in loaded.left_out.items()) or "none"
        print(f"gsr-rl data: {loaded.rows} rows of {loaded.origin}; left out: {left_out}")
    else:
        names = wanted.columns
        problems = load_problems(wanted.source, id_key=names.id, problem_key=names.problem, gold_key=names.answer)
        report = {"origin": str(Path(wanted.source).resolve()), "rows": len(problems)}
    deduplicated = deduplicate(problems)
    dropped = {key: value for key, value in vars(deduplicated).items() if key != "problems"}
    print(
        f"gsr-rl data: {len(deduplicated.problems)} of {len(problems)} problems of {wanted.source}: "
        + ", ".join(f"{len(value)} {key.replace('_', ' ')}" for key, value in dropped.items())
    )
    return deduplicated.problems, report | dropped


def _decontaminate(
    problems: Sequence[Problem], wanted: ProblemsConfig, path: Path
) -> tuple[list[Problem], dict[str, Any]]:
    """The problems that overlap with no evaluation problem by `min_overlap` or more; all overlaps go to `path`."""
    index = EvaluationIndex(
        problem for source in wanted.decontaminate for problem in evaluation_problems(source, wanted.mirror)
    )
    found = [index.overlaps(one.id, one.problem) for one in tqdm(problems, desc="overlap", unit=" problems", delay=2)]
    write_jsonl(path, (asdict(overlap) for overlaps in found for overlap in overlaps))
    kept = [
        one
        for one, overlaps in zip(problems, found, strict=True)
        if all(overlap.overlap < wanted.min_overlap for overlap in overlaps)
    ]
    overlapping = sum(map(bool, found))
    dropped = len(problems) - len(kept)
    print(
        f"gsr-rl data: {overlapping} problems overlap with {', '.join(wanted.decontaminate)}, {dropped} dropped; {path}"
    )
    return kept, {"with": wanted.decontaminate, "overlapping": overlapping, "dropped": dropped}


def _by_difficulty(
    problems: Sequence[Problem], rates: dict[tuple[str, str], float], wanted: ProblemsConfig, batch_size: int
) -> tuple[list[Problem], dict[str, int]]:
    """The training problems by the student's pass rate; dev and held-out problems stay as they are drawn."""
    rate = wanted.pass_rate
    kept, counts = select(problems, rates, lowest=rate.min, highest=rate.max, keep_unsampled=rate.unsampled == "keep")
    if counts["unsampled"] == len(problems):
        raise UsageError(
            f"problems.difficulty={wanted.difficulty}: none of the training problems is in it; give theirs"
        )
    if len(kept) < batch_size:
        raise UsageError(
            f"problems.pass_rate: leaves {len(kept)} of {len(problems)} training problems, fewer than "
            f"data.train_batch_size={batch_size} ({counts}); widen it, or set a larger problems.train"
        )
    print(f"gsr-rl data: training problems by pass rate: {', '.join(f'{n} {what}' for what, n in counts.items())}")
    return kept, counts
