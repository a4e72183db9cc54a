"""The stages `data`, `sft` (and `warmup`), `teach`, `train` and `evaluate`, the `chain` of them, and what they share.

Each stage has `check(settings)`, which does all checks that need no result of an earlier stage, and `run(settings)`.
"""
