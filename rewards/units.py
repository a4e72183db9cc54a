r"""Units: which words after a number are a unit. Only known units are; any other word belongs to the answer.

A unit is written in one canonical way, "h^-1 km" for "km/h", "kilometres per hour" and "\mathrm{~km} / \mathrm{h}",
so that two spellings of the same unit agree. Nothing is converted. What is counted ("18 apples") is a unit too, if the
noun is in `rewards.nouns`.
"""

import re
from functools import lru_cache

from rewards.nouns import ADJECTIVES, is_singular, noun

# Canonical symbol: other spellings. Plurals in -s of words of three letters or more are added.
_SPELLINGS = {
    "m": "meter metre",
    "km": "kilometer kilometre kms",
    "cm": "centimeter centimetre cms",
    "mm": "millimeter millimetre",
    "dm": "decimeter decimetre",
    "nm": "nanometer nanometre",
    "um": "micrometer micrometre micron",
    "in": "inch inches",
    "ft": "foot feet",
    "yd": "yard yds",
    "mi": "mile",
    "g": "gram gramme gm",
    "kg": "kilogram kilogramme kilo kgs",
    "mg": "milligram milligramme",
    "lb": "lbs",
    "oz": "ounce",
    "ton": "tonne",
    "l": "L liter litre",
    "ml": "mL milliliter millilitre",
    "cl": "cL centiliter centilitre",
    "gal": "gallon",
    "qt": "quart",
    "pt": "pint",
    "tbsp": "tablespoon",
    "tsp": "teaspoon",
    "acre": "",
    "ha": "hectare",
    "s": "second sec secs",
    "ms": "millisecond",
    "min": "minute mins",
    "h": "hour hr hrs",
    "day": "",
    "week": "wk",
    "month": "",
    "yr": "year yrs",
    "decade": "",
    "century": "centuries",
    "degree": "deg degs",
    "degC": "Celsius celsius",
    "degF": "Fahrenheit fahrenheit",
    "kelvin": "Kelvin",
    "rad": "radian",
    "N": "newton Newton",
    "J": "joule Joule",
    "kJ": "kilojoule",
    "cal": "calorie",
    "kcal": "kilocalorie",
    "W": "watt Watt",
    "kW": "kilowatt",
    "MW": "megawatt",
    "V": "volt Volt",
    "A": "ampere amp Ampere",
    "ohm": "Ohm",
    "C": "coulomb Coulomb",
    "F": "farad",
    "T": "tesla",
    "Hz": "hertz Hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "Pa": "pascal Pascal",
    "kPa": "kilopascal",
    "atm": "atmosphere",
    "mol": "mole",
    "bit": "",
    "byte": "",
    "KB": "kB kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "unit": "",
    "rev": "revolution",
    "dollar": "usd USD buck",
    "cent": "",
    "euro": "EUR eur",
    "pound": "GBP gbp",
    "yen": "JPY jpy yuan CNY RMB",
    "rupee": "INR Rs",
    "peso": "",
    "ruble": "rouble RUB",
    "am": "a.m a.m. AM A.M A.M.",
    "pm": "p.m p.m. PM P.M P.M.",
    "o'clock": "",
}
_COMPOUNDS = {
    "mph": {"mi": 1, "h": -1},
    "kph": {"km": 1, "h": -1},
    "kmh": {"km": 1, "h": -1},
    "kmph": {"km": 1, "h": -1},
    "rpm": {"rev": 1, "min": -1},
    "fps": {"ft": 1, "s": -1},
}
# Symbols that are letters or products of letters unless a text command says otherwise: "5 m" may be five times m.
_SYMBOLS = "m g l L s h N J W V A C F T ha ms dm nm um cl cL mol Pa KB MB GB rad min in"
_ONLY_AS_TEXT = frozenset(_SYMBOLS.split())
_BARE = frozenset({"in", "min", "mol", "rad"})  # known well enough after a number and a space
_LETTERS_OF_SPEED = re.compile(r"m\s*/\s*s(?:\s*\^\s*\{?\s*2\s*\}?|\s*/\s*s)?")
_CURRENCIES = {r"\$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "¢": "cent", "₹": "rupee", "₽": "ruble"}
_SIGN = "|".join(map(re.escape, _CURRENCIES))
# "pounds" are money or weight, and "degrees" are of an angle or of a temperature.
_AGREE = ({"pound", "lb"}, {"degree", "degC"}, {"degree", "degF"})

_COMMAND = r"\\(?:text(?:rm|bf|it|sf|normal)?|mbox|mathrm|mathsf|mathbf|operatorname|unit|si)\s*"
_TEXT = rf"{_COMMAND}\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}"
_POWER = r"\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d)"
_START = re.compile(rf"{_COMMAND}\{{|\^\\circ|(?<![a-zA-Z\\])[a-zA-Z]|\\frac\s*\{{\s*{_COMMAND}|(?:{_SIGN})\s*$")
_FRACTION = re.compile(rf"\\frac\s*\{{\s*({_TEXT}(?:{_POWER})?)\s*\}}\s*\{{\s*({_TEXT}(?:{_POWER})?)\s*\}}")
_TOKEN = re.compile(
    r"\s*(?:(?P<power>\^\s*(?:\{\s*(?P<braced>-?\d)\s*\}|(?P<digit>-?\d)))|(?P<over>/|\bper\b)"
    r"|(?P<times>\\(?:cdot|times)(?![a-zA-Z])|[*.-](?=\s*[a-zA-Z]))|(?P<word>[a-zA-Z]+(?:['.][a-zA-Z]+)*\.?))\s*"
)
_UNFINISHED = re.compile(
    r"(?:[-+*/=^_<>,(\[{:]|\\(?:cdot|times|div|frac|sqrt|sin|cos|tan|l[no]g?|le|ge|ne|in|cup|approx|pm|mp))\Z"
)
_ONE = re.compile(r"1|.*(?:st|nd|rd|th)\}*")
_NUMERIC_END = re.compile(r"(?:\d|\\pi|[)}\]%!])\s*\Z")


def _table() -> dict[str, str]:
    table: dict[str, str] = {}
    for symbol, others in _SPELLINGS.items():
        for name in (symbol, *others.split()):
            table[name] = symbol
            if len(name) > 2 and name.isalpha() and not name.endswith(("s", "x")):
                table.setdefault(f"{name}s", symbol)
    return table


_KNOWN = _table()


def agree(a: str, b: str) -> bool:
    """Whether two canonical units are the same."""
    return a == b or {a, b} in _AGREE


@lru_cache(maxsize=16_384)
def canonical(text: str) -> str | None:
    r"""Return the canonical spelling of a unit, or None if a word of it is no known unit.

    >>> canonical(r"\mathrm{~km} / \mathrm{h}"), canonical("metres per second squared"), canonical("million")
    ('h^-1 km', 'm s^-2', None)
    """
    text = re.sub(rf"{_COMMAND}\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}", r" \1 ", text)
    text = re.sub(r"(?i)degrees?\s+(celsius|fahrenheit)|\^\\circ\s*([CF])(?![a-zA-Z])", _temperature, text)
    text = re.sub(r"\^\\circ|\\degree", " degree ", text).strip(" ~,")
    text = re.sub(r"\b(?:un)?ordered\s+pairs\b", "tuples", text)  # "pairs" alone may be twice as many
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        tokens.append(match)
        position = match.end()
    exponents = _exponents(tokens)
    if not exponents:
        return None
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in sorted(exponents.items()))


def _temperature(match: re.Match[str]) -> str:
    return " degC " if (match[1] or match[2]).casefold().startswith("c") else " degF "


def _exponents(tokens: list[re.Match[str]]) -> dict[str, int]:
    """The units and their exponents; empty if a word is unknown or no unit is there."""
    exponents: dict[str, int] = {}
    last: list[str] = []
    sign = ahead = 1  # of the next unit
    for token in tokens:
        word = token["word"]
        if token["over"]:
            sign = -1
        elif token["times"]:
            sign = 1
        elif token["power"] or word in ("squared", "cubed"):
            if not last:
                return {}
            power = 2 if word == "squared" else 3 if word == "cubed" else int(token["braced"] or token["digit"])
            for name in last[-1:]:
                exponents[name] *= power
            last = []
        elif word.rstrip(".").casefold() in ("square", "sq", "cubic", "cu"):
            ahead = 3 if word.casefold().startswith("cu") else 2
        else:
            if word in ADJECTIVES and token is not tokens[-1]:
                continue
            added = _COMPOUNDS.get(word) or {_name(word): 1}
            if "" in added:
                return {}
            for name, power in added.items():
                exponents[name] = exponents.get(name, 0) + sign * ahead * power
            last, sign, ahead = list(added), 1, 1
    return exponents if ahead == 1 and sign == 1 else {}


def _name(word: str) -> str:
    """The canonical symbol of one unit or counted noun, or "" if it is unknown."""
    bare = word.rstrip(".")
    for spelling in (word, bare, bare.casefold() if len(bare) > 2 else bare):  # M is no metre
        if spelling in _KNOWN:
            return _KNOWN[spelling]
    return noun(word.rstrip(".").casefold())


@lru_cache(maxsize=65_536)
def split_unit(text: str) -> tuple[str, str] | None:
    r"""The number and the canonical unit of a quantity, or None for anything else.

    >>> split_unit(r"15\text{ cm}^2"), split_unit(r"74^\circ"), split_unit("€5"), split_unit(r"5\text{ or more}")
    (('15', 'cm^2'), ('74', 'degree'), ('5', 'euro'), None)
    """
    leading = re.match(rf"(?P<sign>-?)\s*(?:US|USD)?\s*(?P<currency>{_SIGN})\s*", text)
    if leading:
        return _money(text, leading)
    for start in _START.finditer(text):
        body, tail = text[: start.start()].rstrip(), text[start.start() :]
        if not body or _UNFINISHED.search(body):
            continue
        if start[0].strip() in _CURRENCIES:
            return body, _CURRENCIES[start[0].strip()]
        unit = _unit(text, start.start(), tail)
        if unit is not None:
            return body, unit
    return None


def _money(text: str, leading: re.Match[str]) -> tuple[str, str] | None:
    body = leading["sign"] + re.sub(re.escape(leading["currency"]), "", text[leading.end() :]).strip()
    unit = _CURRENCIES[leading["currency"]]
    behind = split_unit(body) if body else None
    if behind is not None and behind[1] == unit:  # \$5 dollars
        body = behind[0]
    return (body, unit) if body else None


def _unit(text: str, start: int, tail: str) -> str | None:
    """The unit that a tail is, if it is one and is written as a unit."""
    tail, before = _FRACTION.sub(r"\1/\2", tail), text[:start]
    single = re.fullmatch(rf"(?:{_COMMAND}\{{)?\s*([a-z]+)\s*\.?\}}?", tail)
    counts_one = single is not None and is_singular(single[1]) and _ONE.fullmatch(before.strip())
    unit = single[1] if single and counts_one else canonical(tail)
    if unit is None or (unit == "degree" and re.search(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])", before)):
        return None
    if tail.startswith("^\\circ"):
        return unit
    if tail.startswith("\\"):
        return unit
    first = re.match(r"[a-zA-Z]+", tail)
    word = first[0] if first else ""
    after_number = _NUMERIC_END.search(before) is not None
    if word in _ONLY_AS_TEXT:
        clear = word in _BARE and before[-1:].isspace()
        return unit if after_number and (clear or _LETTERS_OF_SPEED.fullmatch(tail)) else None
    return unit if after_number or (before[-1:].isspace() and len(word) > 1 and word not in ("am", "pm")) else None


def own_unit(gold: str) -> str | None:
    r"""The number of a gold whose unit no list knows, such as 16\text{ daps}: one plural noun. None for any other."""
    match = re.fullmatch(rf"(?P<number>-?[\d.,/]+)\s*{_COMMAND}\{{\s*[a-z]{{3,}}s\s*\}}", gold)
    return match["number"] if match else None
