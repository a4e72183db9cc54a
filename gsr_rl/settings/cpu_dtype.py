"""What the processor of this machine can do."""

import functools
from pathlib import Path

_BFLOAT16 = {"avx512_bf16", "amx_bf16"}


@functools.cache
def fast_dtype(cpuinfo: str = "/proc/cpuinfo") -> str:
    """The float type in which this processor multiplies matrices fastest: `bfloat16` or `float32`.

    Without instructions for bfloat16, as in most laptops, torch's products are some ten times slower in it than in
    float32.
    """
    return "bfloat16" if _BFLOAT16 & set(processor(cpuinfo).get("flags", "").split()) else "float32"


def processor(cpuinfo: str = "/proc/cpuinfo") -> dict[str, str]:
    """What the kernel says of the first core, by the names in the file; empty outside Linux."""
    file = Path(cpuinfo)
    first = file.read_text().partition("\n\n")[0] if file.exists() else ""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
