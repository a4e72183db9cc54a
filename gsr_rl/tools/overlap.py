"""`gsr-rl overlap`: which problems of one file are also in others.

gsr-rl overlap --train FILE --eval FILE_OR_SET ... --out OUT.jsonl
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from tqdm import tqdm

from data_prep.hub import check_source, evaluation_problems
from data_prep.overlap import EvaluationIndex
from data_prep.tables import iter_rows, text_of
from gsr_rl.files import replacing


def main(arguments: Sequence[str]) -> None:
    """Run the tool: one line of JSON for each pair of problems that overlap, and a summary.

    The training problems are read one by one, so that a file of any length takes little memory.

    Raises:
        UsageError: a file cannot be read, or a row has no id or problem; names file and row, and says how to fix it.
    """
    parser = argparse.ArgumentParser(
        prog="gsr-rl overlap",
        description="Find training problems that are also in evaluation sets: problems that differ only in spelling, "
        "or share 13 words in a row. Files are JSON lines, CSV or parquet with the columns id and problem.",
    )
    parser.add_argument("--train", required=True, metavar="FILE", help="problems to train on")
    parser.add_argument("--eval", required=True, nargs="+", metavar="FILE", help="evaluation problems, or a set's name")
    parser.add_argument("--out", required=True, metavar="OUT.jsonl", help="the report is written there")
    options = parser.parse_args(arguments)
    for source in options.eval:
        check_source(source, "--eval")
    index = EvaluationIndex(problem for source in options.eval for problem in evaluation_problems(source))
    pairs: Counter[tuple[str, str]] = Counter()
    found = read = 0
    with replacing(options.out) as temporary, temporary.open("w", encoding="utf-8") as file:
        rows = iter_rows(options.train, ["id", "problem"])
        for number, row in tqdm(rows, desc="overlap", unit=" problems", delay=2):
            where = f"{options.train}: row {number}"
            read += 1
            overlaps = index.overlaps(text_of(row["id"], "id", where), text_of(row["problem"], "problem", where))
            file.writelines(json.dumps(asdict(overlap)) + "\n" for overlap in overlaps)
            pairs.update((overlap.eval_dataset, overlap.match) for overlap in overlaps)
            found += bool(overlaps)
    for dataset in sorted({dataset for dataset, _ in pairs}):
        same, similar = pairs[dataset, "exact"], pairs[dataset, "13gram"]
        print(f"{dataset}: {same} pairs have the same text, {similar} share 13 words in a row")
    print(
        f"gsr-rl overlap: {found} of {read} training problems overlap with {len(index.problems)} evaluation problems; "
        f"report in {options.out}"
    )
