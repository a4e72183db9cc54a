"""Entry point `verl.plugins`: loaded in every process that imports verl, on every machine.

It changes nothing, and imports nothing, unless the CPU was chosen with VERL_PLATFORM=cpu (our CLI sets it for all
Ray processes where neither this machine nor the joined cluster has an accelerator).
"""

import os
import sys
import traceback

if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
    try:
        from gsr_rl.cpu import patches, platform  # noqa: F401  registers the platform
    except BaseException:
        # verl logs the failure of a plugin at DEBUG level only (verl/__init__.py, 0.9.1).
        traceback.print_exc()
        print("gsr-rl: the CPU platform for verl failed to load; verl will not run on this machine", file=sys.stderr)
        raise
    patches.apply()
