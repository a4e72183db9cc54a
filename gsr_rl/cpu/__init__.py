"""Stock verl and vLLM on a machine without an accelerator. To be deleted on the day upstream supports that.

Modules import verl at their top here and in `gsr_rl.verl_plugin` alone. No other package of ours imports this one: verl
and vLLM load its modules, through the entry point `verl.plugins` and through the recipe's configuration.
"""
