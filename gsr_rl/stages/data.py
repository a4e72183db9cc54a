"""Stage `data`: the problems, split disjointly by content, as JSONL and as verl's parquet."""

from omegaconf import DictConfig

from data_prep.problems import load_problems, pair_sums, split_problems, write_problems
from data_prep.rows import write_rl_rows
from gsr_rl.stages.layout import RunFolder

SPLITS = ("train", "dev", "held_out")


def run(config: DictConfig) -> None:
    """Write `<run_dir>/data/{train,dev,held_out}.{jsonl,parquet}`."""
    wanted, folder = config.problems, RunFolder.of(config)
    sizes = {split: int(wanted[split]) for split in SPLITS}
    if wanted.source == "pair_sums":
        n = sum(sizes.values())
        problems = pair_sums(n, seed=wanted.seed, numbers=wanted.numbers, largest=wanted.largest)
    else:
        problems = load_problems(wanted.source)
    for split, part in split_problems(problems, sizes, wanted.seed).items():
        write_rl_rows(folder.rl_rows(split), part)
        write_problems(folder.problems(split), part)
    print(f"gsr-rl data: {', '.join(f'{n} {split}' for split, n in sizes.items())} problems in {folder.data}")
