"""Stage `data`: the problems, deduplicated, decontaminated and split disjointly, as JSONL and as verl's parquet."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.deduplicate import deduplicate
from data_prep.difficulty import pass_rates, select
from data_prep.hub import check_source, evaluation_problems, load_set
from data_prep.knights import knights_knaves
from data_prep.overlap import EvaluationIndex
from data_prep.pair_sums import pair_sums
from data_prep.problems import load_problems, split_problems, write_problems
from data_prep.rows import with_extra_info, write_rl_rows
from data_prep.sets import SETS
from data_prep.tables import write_jsonl
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError, require
from gsr_rl.files import replacing
from gsr_rl.settings.problems import SPLITS, Problems
from gsr_rl.settings.settings import Settings


def check(settings: Settings) -> None:
    """The sets and files that the `problems:` section names are there.

    Raises:
        UsageError: no such set or file, or a set that is not for training.
    """
    section = settings.problems
    if section.source != "pair_sums":
        check_source(section.source, "problems.source")
    named = SETS.get(section.source)
    is_for_training = named is None or named.use == "training"
    hint = "a set or file to train on; this is an evaluation set"
    require(is_for_training, "problems.source", section.source, hint)
    has_revision = section.revision is None or named is not None
    require(has_revision, "problems.revision", section.revision, "null unless problems.source is a named set")
    for source in section.decontaminate:
        check_source(source, "problems.decontaminate")
    if section.difficulty is not None:
        is_there = Path(section.difficulty).is_file()
        require(is_there, "problems.difficulty", section.difficulty, "an existing file of episodes")


def run(settings: Settings) -> None:
    """Write `<run_dir>/data/{train,dev,held_out}.{jsonl,parquet}`, and what became of the problems in `report.json`."""
    section, folder = settings.problems, settings.folder
    problems, report = _load(section)
    if section.decontaminate:
        problems, report["decontaminated"] = _decontaminate(problems, section, folder.overlaps)
    splits = split_problems(problems, {split: getattr(section, split) for split in SPLITS}, section.seed)
    rates = pass_rates(section.difficulty) if section.difficulty else {}
    if section.difficulty:
        batch = settings.verl.data.train_batch_size
        splits["train"], report["difficulty"] = _by_difficulty(splits["train"], rates, section, batch)
    report["splits"] = {split: len(part) for split, part in splits.items()}
    with replacing(folder.data / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for split in ("train", "held_out", "dev"):  # dev.parquet comes last: the chain knows by it that all are there
        part = with_extra_info(splits[split], rates)
        write_problems(folder.problems(split), part)
        write_rl_rows(folder.rl_rows(split), part, rates)
    sizes = ", ".join(f"{n} {split}" for split, n in report["splits"].items())
    print(f"gsr-rl data: {sizes} problems in {folder.data}")


def _load(section: Problems) -> tuple[list[Problem], dict[str, Any]]:
    """The problems that may be used, and a report on their origin and on what was left out."""
    n = sum(getattr(section, split) for split in SPLITS)
    if section.source == "pair_sums":
        puzzle = section.pair_sums
        generated = pair_sums(n, seed=section.seed, numbers=puzzle.numbers, largest=puzzle.largest)
        return generated, {"origin": "generated"}
    if section.source == "knights_knaves":
        generated = knights_knaves(n, seed=section.seed, people=section.knights_knaves.people)
        return generated, {"origin": "generated"}
    if section.source in SETS:
        loaded = load_set(section.source, revision=section.revision, mirror=section.mirror)
        report = {"origin": loaded.origin, "rows": loaded.rows, "left_out": dict(loaded.left_out)}
        problems = loaded.problems
        left_out = ", ".join(f"{n} {why}" for why, n in loaded.left_out.items()) or "none"
        print(f"gsr-rl data: {loaded.rows} rows of {loaded.origin}; left out: {left_out}")
    else:
        names = section.columns
        problems = load_problems(section.source, id_key=names.id, problem_key=names.problem, gold_key=names.answer)
        report = {"origin": str(Path(section.source).resolve()), "rows": len(problems)}
    deduplicated = deduplicate(problems)
    dropped = {key: value for key, value in vars(deduplicated).items() if key != "problems"}
    print(
        f"gsr-rl data: {len(deduplicated.problems)} of {len(problems)} problems of {section.source}: "
        + ", ".join(f"{len(value)} {key.replace('_', ' ')}" for key, value in dropped.items())
    )
    return deduplicated.problems, report | dropped


def _decontaminate(problems: Sequence[Problem], section: Problems, path: Path) -> tuple[list[Problem], dict[str, Any]]:
    """The problems that overlap with no evaluation problem by `min_overlap` or more; all overlaps go to `path`."""
    index = EvaluationIndex(
        problem for source in section.decontaminate for problem in evaluation_problems(source, section.mirror)
    )
    bar = tqdm(problems, desc="overlap", unit=" problems", delay=2)
    found = [index.overlaps(problem.id, problem.problem) for problem in bar]
    write_jsonl(path, (asdict(overlap) for overlaps in found for overlap in overlaps))
    kept = [
        problem
        for problem, overlaps in zip(problems, found, strict=True)
        if all(overlap.overlap < section.min_overlap for overlap in overlaps)
    ]
    overlapping, dropped = sum(map(bool, found)), len(problems) - len(kept)
    sets = ", ".join(section.decontaminate)
    print(f"gsr-rl data: {overlapping} problems overlap with {sets}, {dropped} dropped; {path}")
    return kept, {"with": section.decontaminate, "overlapping": overlapping, "dropped": dropped}


def _by_difficulty(
    problems: Sequence[Problem], rates: dict[tuple[str, str], float], section: Problems, batch_size: int
) -> tuple[list[Problem], dict[str, int]]:
    """The training problems by the student's pass rate; dev and held-out problems stay as they were drawn."""
    rate = section.pass_rate
    kept, counts = select(problems, rates, lowest=rate.min, highest=rate.max, keep_unsampled=rate.unsampled == "keep")
    if counts["unsampled"] == len(problems):
        raise UsageError(
            f"problems.difficulty={section.difficulty}: none of the training problems is in it; give a file with them"
        )
    if len(kept) < batch_size:
        raise UsageError(
            f"problems.pass_rate: leaves {len(kept)} of {len(problems)} training problems, fewer than "
            f"data.train_batch_size={batch_size} ({counts}); widen it, or set a larger problems.train"
        )
    print(f"gsr-rl data: training problems by pass rate: {', '.join(f'{n} {what}' for what, n in counts.items())}")
    return kept, counts
