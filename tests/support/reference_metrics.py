"""A second implementation of all statistics of docs/metrics.md: plain Python, by counting, with exact fractions.

It works on the rows of a file, is written from the definitions, and imports nothing of ours. Answers are equal if
`MEANING` says so.
"""

import re
from collections import Counter
from fractions import Fraction
from itertools import combinations
from typing import Any

MEANING = {
    "1/2": "half",
    "0.5": "half",
    r"\frac{1}{2}": "half",
    "2": "two",
    "2.0": "two",
    r"\sqrt{4}": "two",
    "(1, 3)": "pair",
    r"\left(1,3\right)": "pair",
    "-7": "minus seven",
    r"\text{Monday}": "monday",
}
Row = dict[str, Any]
Rates = dict[str, Any]


def meaning(response: Row) -> str | None:
    if "answer" in response:
        return response["answer"] and MEANING[response["answer"]]
    box = re.search(r"\\boxed\{(.*)\}", response["text"])
    return MEANING[box[1]] if box else None


def right(response: Row, row: Row) -> bool:
    if "correct" in response:
        return response["correct"]
    return meaning(response) is not None and meaning(response) == MEANING[row["gold"]]


def responses(row: Row, kind: str = "candidates") -> list[Row]:
    """The responses of a row, each with what it comes to."""
    listed = row.get(kind) or []
    return [{"text": "", **item, "meaning": meaning(item), "right": right(item, row)} for item in listed]


def mean(values: Any) -> Fraction | None:
    values = list(values)
    if not values or None in values:
        return None
    return Fraction(sum(values)) / len(values)


def accuracy(listed: list[Row]) -> Fraction | None:
    return mean(response["right"] for response in listed)


def vote(listed: list[Row]) -> Fraction:
    counts = Counter(response["meaning"] for response in listed if response["meaning"] is not None)
    winners = [name for name, count in counts.items() if count == max(counts.values())]
    shares = [accuracy([response for response in listed if response["meaning"] == name]) for name in winners]
    return mean(shares) or Fraction()


def best(listed: list[Row]) -> Fraction | None:
    if any(response.get("score") is None for response in listed):
        return None
    top = max(response["score"] for response in listed)
    return accuracy([response for response in listed if response["score"] == top])


def over_subsets(listed: list[Row], k: int, score: Any) -> Fraction | None:
    return mean(score(list(subset)) for subset in combinations(listed, k))


def of_row(row: Row, k: int) -> Rates:
    """What one row adds to the means over problems."""
    candidates, extra, refinements = (responses(row, k) for k in ("candidates", "extra_candidates", "refinements"))
    whole, pool = k == len(candidates), candidates + extra
    refined = accuracy(refinements) if whole else None
    maj = vote(candidates) if whole else over_subsets(pool, k, vote)
    any_right = over_subsets(candidates if whole else pool, k, lambda some: any(response["right"] for response in some))
    larger = mean(vote([*candidates, response]) for response in extra) if whole else over_subsets(pool, k + 1, vote)
    rates = {"pass@1": accuracy(candidates), f"pass@{k}": any_right, f"maj@{k}": maj, f"maj@{k + 1}": larger}
    all_wrong = not any(response["right"] for response in candidates)
    rates |= {f"selfref@{k}": refined, f"bon@{k}": over_subsets(candidates, k, best)}
    answered = [response for response in candidates if response["meaning"] is not None]
    rates[f"first@{k}"] = Fraction(bool(answered and answered[0]["right"])) if whole else None
    length = "n_tokens" if all(response.get("n_tokens") is not None for response in answered) else "characters"
    lengths = [response["n_tokens"] if length == "n_tokens" else len(response["text"]) for response in answered]
    shortest = [response for response, length in zip(answered, lengths, strict=True) if length == min(lengths)]
    rates[f"shortest@{k}"] = (accuracy(shortest) or Fraction()) if whole and 0 not in lengths else None
    rates |= {"all_wrong": Fraction(all_wrong) if whole else None, "refinement_gap": None, "equal_budget_gap": None}
    rates |= {"recovered": None, "broken": None, "fixed": None}
    if refined is not None and maj is not None:
        rates |= {"refinement_gap": refined - maj, "recovered": refined * all_wrong}
        rates |= {"broken": maj * (1 - refined), "fixed": (1 - maj) * refined}
        rates["equal_budget_gap"] = None if larger is None else refined - larger
    return rates | {f"tokens/{name}": value for name, value in tokens(candidates, extra, refinements, k).items()}


def tokens(candidates: list[Row], extra: list[Row], refinements: list[Row], k: int) -> Rates:
    each = mean(response.get("n_tokens") for response in candidates)
    names = ["pass@1", f"maj@{k}", f"bon@{k}", f"maj@{k + 1}", f"selfref@{k}", f"first@{k}", f"shortest@{k}"]
    if each is None:
        return dict.fromkeys(names)
    whole = k == len(candidates)
    one_more = mean(response.get("n_tokens") for response in extra)
    refined = mean(response.get("n_tokens") for response in refinements)
    spent: Rates = {"pass@1": each, f"maj@{k}": k * each, f"bon@{k}": k * each}
    spent[f"maj@{k + 1}"] = None if whole and one_more is None else k * each + ((one_more or 0) if whole else each)
    spent[f"selfref@{k}"] = k * each + refined if whole and refined is not None else None
    lengths = [response["n_tokens"] for response in candidates]
    answered = [i for i, response in enumerate(candidates) if response["meaning"] is not None]
    until_first = sum(lengths[: answered[0] + 1]) if answered else k * each
    spent[f"first@{k}"] = until_first if whole else k * each
    spent[f"shortest@{k}"] = k * min(lengths[i] for i in answered) if whole and answered else k * each
    return spent


def by_problem(rows: list[Row], values: list[Any]) -> list[Fraction | None]:
    ids = sorted({row["id"] for row in rows})
    return [mean(value for row, value in zip(rows, values, strict=True) if row["id"] == name) for name in ids]


def ratio(parts: list[Any], wholes: list[Any]) -> Fraction | None:
    return None if None in parts or not sum(wholes) else Fraction(sum(parts)) / sum(wholes)


def core(rows: list[Row], k: int) -> Rates:
    of_rows = [of_row(row, k) for row in rows]
    table = {name: by_problem(rows, [rates[name] for rates in of_rows]) for name in of_rows[0]}
    joint = ("all_wrong", "recovered", "broken", "fixed")
    rates = {name: mean(column) for name, column in table.items() if name not in joint}
    maj = table[f"maj@{k}"]
    rates["all_wrong_recovery"] = ratio(table["recovered"], table["all_wrong"])
    rates["right_to_wrong"] = ratio(table["broken"], maj)
    rates["wrong_to_right"] = ratio(table["fixed"], [1 - share for share in maj])
    for name in [name for name in rates if name.startswith("tokens/")]:
        method, spent = name.removeprefix("tokens/"), rates[name]
        reached = None if method not in rates or spent is None else rates[method]
        rates[f"accuracy_per_1k_tokens/{method}"] = None if reached is None else 1_000 * reached / spent
    return rates


def why(rows: list[Row]) -> Rates:
    rates: Rates = {"agreement/n": sum(bool(responses(row, "refinements")) for row in rows)}
    shares: dict[str, list[Any]] = {name: [] for name in ("majority", "any_candidate", "novel", "no_answer")}
    counts: dict[int, list[Any]] = {c: [] for c in range(max(len(row["candidates"]) for row in rows) + 1)}
    for row in rows:
        candidates, refined = responses(row), [response["meaning"] for response in responses(row, "refinements")]
        if not refined:
            continue
        counts[sum(response["right"] for response in candidates)].append(accuracy(responses(row, "refinements")))
        votes = Counter(response["meaning"] for response in candidates if response["meaning"] is not None)
        winners = [name for name, count in votes.items() if count == max(votes.values())]
        shares["majority"].append(mean(Fraction(answer in winners, max(len(winners), 1)) for answer in refined))
        shares["any_candidate"].append(mean(answer in votes for answer in refined))
        shares["novel"].append(mean(answer is not None and answer not in votes for answer in refined))
        shares["no_answer"].append(mean(answer is None for answer in refined))
    rates |= {f"agreement/{name}": mean(column) for name, column in shares.items()}
    for count, hits in counts.items():
        rates |= {f"by_correct/{count}/n": len(hits), f"by_correct/{count}/accuracy": mean(hits)}
    for name, kind in (("direct_again", "extra_candidates"), ("selfref_swapped", "swapped_refinements")):
        rates[f"controls/{name}"] = mean(accuracy(responses(row, kind)) for row in rows if row.get(kind))
    rates["controls/swapped_n"] = sum(bool(row.get("swapped_refinements")) for row in rows)
    for kind in ("candidates", "refinements"):
        every = [response for row in rows for response in responses(row, kind)]
        rates[f"lengths/{kind}/tokens"] = mean(response.get("n_tokens") for response in every)
        rates[f"lengths/{kind}/characters"] = mean(
            None if not response["text"] and response["meaning"] is not None else len(response["text"])
            for response in every
        )
        rates[f"lengths/{kind}/cut_off"] = mean(response.get("cut_off", False) for response in every)
        rates[f"lengths/{kind}/no_answer"] = mean(response["meaning"] is None for response in every)
    return rates


def sweep(rows: list[Row]) -> Rates:
    pools = [responses(row) + responses(row, "extra_candidates") for row in rows]
    methods = {"pass@k": lambda some: any(response["right"] for response in some), "maj@k": vote, "bon@k": best}
    return {
        f"by_k/{k}/{name}": mean(by_problem(rows, [over_subsets(pool, k, score) for pool in pools]))
        for k in range(1, min(map(len, pools)) + 1)
        for name, score in methods.items()
    }


def of_dataset(rows: list[Row], k: int) -> Rates:
    rounds = sorted({row.get("round", 1) for row in rows})
    first = [row for row in rows if row.get("round", 1) == rounds[0]]
    gaps = by_problem(first, [of_row(row, k)["refinement_gap"] for row in first])
    decided = [gap for gap in gaps if gap]
    rates: Rates = {"n": len(gaps), "k": k, "sets": len(first), "decided_n": len(decided)}
    rates["decided_for_n"] = sum(gap > 0 for gap in decided)
    rates["all_wrong_n"] = sum(not any(response["right"] for response in responses(row)) for row in first)
    rates |= core(first, k) | why(first) | sweep(first)
    not_by_round = ("tokens/", "accuracy_per_1k_tokens/", "first@", "shortest@", "bon@", "equal_budget_gap")
    for number in rounds if len(rounds) > 1 else []:
        own = core([row for row in rows if row.get("round", 1) == number], k)
        rates |= {f"rounds/{number}/{key}": v for key, v in own.items() if not key.startswith(not_by_round)}
        refined, maj = own[f"selfref@{k}"], rates[f"maj@{k}"]
        rates[f"rounds/{number}/gap_to_first_vote"] = None if refined is None or maj is None else refined - maj
    return rates


def evaluate(rows: list[Row], k: int | None = None) -> dict[str, Rates]:
    """{dataset: {name: statistic}}, and "macro"; a name is the path to the statistic."""
    k = len(rows[0]["candidates"]) if k is None else k
    result = {
        name: of_dataset([row for row in rows if row["dataset"] == name], k) for name in {r["dataset"] for r in rows}
    }
    macro: Rates = {}
    for name in {name for rates in result.values() for name in rates}:
        found = [rates[name] for rates in result.values() if rates.get(name) is not None]
        is_count = re.search(r"(^|/|_)n$|^sets$", name)
        macro[name] = sum(found) if is_count else mean(found)
    return result | {"macro": macro | {"k": k}}
