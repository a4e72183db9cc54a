"""The stages of the chain, one file each: data, warmup and sft, teach, eval, train, report."""
