"""verl's SFT trainer as it is, in a process that ends when the training fails.

verl 0.9.1 closes W&B when its `Tracking` is freed. A failed trainer lives on in the exception that Hydra raises, until
the interpreter ends; by then W&B's own thread is gone, and the process waits for it for ever.
"""

import gc
import sys

from verl.trainer.sft_trainer import main

if __name__ == "__main__":
    code = None
    try:
        main()
    except SystemExit as end:  # the exception goes with its name
        code = end.code
    gc.collect()
    sys.exit(code)
