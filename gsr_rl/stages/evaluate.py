"""Stage `eval`: episodes of one model on the held-out problems, by vLLM in this process; or on `benchmarks`."""

from collections.abc import Sequence

from omegaconf import DictConfig

from data_prep.problems import load_problems
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.metrics.gap import summarize
from gsr_rl.settings.run_folder import RunFolder, base_model


def run(config: DictConfig) -> None:
    """Write `<run_dir>/episodes/<eval.name>.jsonl`."""
    if config.benchmarks is not None:
        from gsr_rl.stages import benchmarks

        return benchmarks.run(config)
    if not config.eval.name:
        raise UsageError("eval.name: missing; name the model in the report, for example eval.name=base")
    from gsr_rl.generation.sampler import Sampler, sample_in_parts
    from gsr_rl.verl_plugin.reward import load_judge

    folder = RunFolder.of(config)
    problems = load_problems(folder.problems(config.eval.split))
    sampler = Sampler(config, config.eval.model or base_model(config), load_judge(config))

    def sample(part: Sequence[Problem], first: int) -> list[Episode]:
        episodes = sampler.refine(sampler.candidates(part, extra=config.eval.extra_candidates))
        n = min(len(part), config.eval.swapped - first)
        return sampler.refine_swapped(episodes[:n]) + episodes[n:] if n > 1 else episodes

    path = folder.episodes(config.eval.name)
    episodes = sample_in_parts(path, problems, sample)
    for name, figures in summarize(episodes).items():
        if name != "macro":
            k = figures["k"]
            print(
                f"gsr-rl eval: {config.eval.name} on {figures['n']} {name} problems: pass@1 {figures['pass@1']:.3f}, "
                f"maj@{k} {figures[f'maj@{k}']:.3f}, selfref@{k} {figures[f'selfref@{k}']:.3f}, "
                f"gap {figures['refinement_gap']:+.3f}; episodes in {path}"
            )
