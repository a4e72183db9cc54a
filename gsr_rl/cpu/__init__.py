"""Stock verl and vLLM on a machine without an accelerator. This package goes the day upstream has it."""
