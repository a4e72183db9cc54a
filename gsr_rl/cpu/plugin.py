"""Entry point `verl.plugins`: every process that imports verl loads this module, on every machine.

It changes nothing and imports nothing unless the CPU was chosen with VERL_PLATFORM=cpu. Our command line sets that for
all Ray processes if neither this machine nor the cluster that it joins has an accelerator.
"""

import os
import sys
import traceback

if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
    try:
        from gsr_rl.cpu import patches, platform  # noqa: F401  registers the platform
    except BaseException:
        # verl logs a plugin's failure at DEBUG level only (verl/__init__.py, 0.9.1).
        traceback.print_exc()
        print("gsr-rl: the CPU platform for verl failed to load; verl will not run on this machine", file=sys.stderr)
        raise
    patches.apply()
