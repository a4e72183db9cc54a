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
    file = Path(cpuinfo)
    lines = file.read_text().splitlines() if file.exists() else []  # there is none outside Linux
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return "bfloat16" if _BFLOAT16 & set(flags) else "float32"
