"""verl's SFT trainer as it is, in a process that ends when the training fails.

verl 0.9.1 closes W&B when its `Tracking` object is freed. The exception that Hydra raises keeps a failed trainer alive
until the interpreter ends. By then W&B's own thread is gone, and the process would wait for it for ever.
"""

import gc
import sys

from verl.trainer.sft_trainer import main

if __name__ == "__main__":
    code = None
    try:
        main()
    except SystemExit as end:  # Python deletes the name, and with it the exception, after this block
        code = end.code
    gc.collect()
    sys.exit(code)
