"""`gsr-rl verify`: tests the verifier on labelled cases, and finds gold answers that it cannot parse.

gsr-rl verify --cases FILE.jsonl [--json OUT.json]
gsr-rl verify --golds FILE.jsonl [--json OUT.json]
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from data_prep.damage import damage
from gsr_rl.errors import UsageError
from gsr_rl.files import read_jsonl, write_json
from rewards.answers import parseable
from rewards.pool import shared
from rewards.verifier import verify

_MAX_SECONDS = 10.0  # of a verdict, unless the case says otherwise


def main(arguments: Sequence[str]) -> None:
    """Run the tool.

    Raises:
        UsageError: a file cannot be read, or a row is no case; names file, line and key, and says how to fix it.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl verify", description="Measure the maths verifier on files.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--cases", metavar="FILE.jsonl", help='rows {"response", "gold", "expected", "kind"}')
    what.add_argument("--golds", metavar="FILE.jsonl", help='problems with their "answer" (or "gold")')
    parser.add_argument("--json", metavar="OUT.json", help="write the results there")
    options = parser.parse_args(arguments)
    if options.cases:
        report = judge_cases(list(_read(options.cases, _case)))
        _print_cases(report)
    else:
        report = check_golds(list(_read(options.golds, _gold)))
        _print_golds(report)
    if options.json:
        write_json(options.json, report)


def judge_cases(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Measure the verifier on cases: agreement by kind, false positives and negatives, times.

    A case agrees if the verdict is as expected and came within the case's `max_seconds`. A verdict that raised an
    exception or came later counts under `no_crash_violations`. Cases without `expected` are judged too, and listed
    under `verdicts`.

    Args:
        cases: with "line", "response", "gold", "expected", "kind" and "max_seconds".
    """
    shared.warm_up()
    results = [_judge(case) for case in _with_progress(cases)]
    labelled = [result for result in results if result["expected"] is not None]
    by_kind: dict[str, dict[str, int]] = {}
    for result in labelled:
        kind = by_kind.setdefault(result["kind"], {"n": 0, "agree": 0})
        kind["n"] += 1
        kind["agree"] += result["agrees"]
    seconds = sorted(result["seconds"] for result in results)
    shown = ("line", "kind", "expected", "correct", "reason", "answer", "gold", "seconds")
    return {
        "n": len(labelled),
        "agree": sum(result["agrees"] for result in labelled),
        "false_positive": sum(result["expected"] is False and result["correct"] for result in labelled),
        "false_negative": sum(result["expected"] is True and not result["correct"] for result in labelled),
        "timeouts": sum(result["reason"] == "timeout" for result in results),
        "no_crash_violations": sum(result["violation"] for result in results),
        "p50_ms": 1e3 * _percentile(seconds, 0.50),
        "p99_ms": 1e3 * _percentile(seconds, 0.99),
        "max_s": seconds[-1] if seconds else 0.0,
        "by_kind": dict(sorted(by_kind.items())),
        "reasons": dict(Counter(result["reason"] for result in results)),
        "disagreements": [{key: result[key] for key in shown} for result in labelled if not result["agrees"]],
        "verdicts": [{key: result[key] for key in shown} for result in results if result["expected"] is None],
    }


def _judge(case: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        verdict = verify(case["response"], case["gold"])
        correct, reason, answer = verdict.correct, str(verdict.reason), verdict.answer
    except Exception as error:
        correct, reason, answer = False, f"raised {type(error).__name__}", None
    seconds = time.perf_counter() - start
    violation = reason.startswith("raised") or seconds > case["max_seconds"]
    agrees = not violation and case["expected"] in (correct, "no-crash")
    result = {"correct": correct, "reason": reason, "seconds": seconds, "violation": violation, "agrees": agrees}
    return case | result | {"answer": answer and answer[:200]}


def check_golds(golds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find golds that are damaged, that only their own spelling matches, or that not even it matches.

    These are "damaged", with the damage (`data_prep.damage`), "unparseable" and "not_accepted".

    Args:
        golds: with "line" and "gold".
    """
    damaged, unparseable, not_accepted = [], [], []
    for row in _with_progress(golds):
        if found := damage(row["gold"]):
            damaged.append(row | {"damage": found})
        if not parseable(row["gold"]):
            unparseable.append(row)
        if not verify(rf"\boxed{{{row['gold']}}}", row["gold"]).correct:
            not_accepted.append(row)
    return {"n": len(golds), "damaged": damaged, "unparseable": unparseable, "not_accepted": not_accepted}


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


# --- input and output -------------------------------------------------------------------------------------------------


def _read(path: str, check: Callable[[dict[str, Any], str], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for where, row in read_jsonl(path):
        number = int(where.rpartition(":")[2])
        yield {"line": number, **check(row, where)}


def _case(row: dict[str, Any], where: str) -> dict[str, Any]:
    for key in ("response", "gold"):
        if not isinstance(row.get(key), str):
            raise UsageError(f'{where}: "{key}" is missing or no text; write a string there')
    expected = row.get("expected")
    if not (expected is None or isinstance(expected, bool) or expected == "no-crash"):
        raise UsageError(f'{where}: "expected" is {expected!r}; write true, false or "no-crash", or leave it out')
    limit = row.get("max_seconds", _MAX_SECONDS)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0:
        raise UsageError(f'{where}: "max_seconds" is {limit!r}; write a positive number of seconds')
    case = {"response": row["response"], "gold": row["gold"], "expected": expected}
    return case | {"kind": str(row.get("kind", "")), "max_seconds": limit}


def _gold(row: dict[str, Any], where: str) -> dict[str, Any]:
    gold = row.get("answer", row.get("gold"))
    is_number = isinstance(gold, int | float) and not isinstance(gold, bool) and math.isfinite(gold)
    if not isinstance(gold, str) and not is_number:
        raise UsageError(f'{where}: neither "answer" nor "gold" is text or a number; write the gold answer there')
    return {"gold": str(gold)}


def _with_progress(rows: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return tqdm(rows, desc="gsr-rl verify", unit=" rows", delay=5, mininterval=5)


def _print_cases(report: dict[str, Any]) -> None:
    for kind, counts in report["by_kind"].items():
        print(f"{kind or '(no kind)':24} {counts['agree']:5} of {counts['n']}")
    for case in report["disagreements"]:
        print(f"line {case['line']} {case['kind']}: expected {case['expected']}, {case['reason']}", end="")
        print(f"  answer {case['answer']!r}  gold {case['gold'][:200]!r}  {case['seconds']:.2f} s")
    for case in report["verdicts"]:
        print(f"line {case['line']}: {case['reason']}  answer {case['answer']!r}  gold {case['gold'][:200]!r}")
    print(
        f"{report['agree']} of {report['n']} agree; {report['false_positive']} false positive, "
        f"{report['false_negative']} false negative, {report['timeouts']} timeouts, "
        f"{report['no_crash_violations']} crashed or too late; "
        f"p50 {report['p50_ms']:.2f} ms, p99 {report['p99_ms']:.1f} ms, max {report['max_s']:.2f} s"
    )


def _print_golds(report: dict[str, Any]) -> None:
    for row in report["damaged"]:
        print(f"line {row['line']}: damaged, {row['damage']}: {row['gold'][:200]!r}")
    for name, what in (("unparseable", "only its own spelling can match"), ("not_accepted", "not accepted as itself")):
        for row in report[name]:
            print(f"line {row['line']}: {what}: {row['gold'][:200]!r}")
    damaged = f"{len(report['damaged'])} are damaged, " if report["damaged"] else ""
    print(
        f"{report['n']} golds: {damaged}{len(report['unparseable'])} cannot be parsed, "
        f"{len(report['not_accepted'])} are not accepted as an answer to themselves"
    )
