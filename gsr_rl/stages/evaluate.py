"""Stage `eval`: episodes of one model on the held-out problems."""

from omegaconf import DictConfig

from data_prep.problems import load_problems
from gsr_rl.episode import write_episodes
from gsr_rl.errors import UsageError
from gsr_rl.metrics import summarize
from gsr_rl.stages.layout import RunFolder, base_model


def run(config: DictConfig) -> None:
    """Write `<run_dir>/episodes/<eval.name>.jsonl`."""
    if not config.eval.name:
        raise UsageError("eval.name: missing; name the model in the report, for example eval.name=base")
    from gsr_rl.stages.sampler import Sampler
    from gsr_rl.verl_plugin.reward import load_judge

    folder = RunFolder.of(config)
    problems = load_problems(folder.problems(config.eval.split))
    sampler = Sampler(config, config.eval.model or base_model(config), load_judge(config))
    episodes = sampler.refine(sampler.candidates(problems, extra=config.eval.extra_candidates))
    if config.eval.swapped:
        episodes = sampler.refine_swapped(episodes)
    path = folder.episodes(config.eval.name)
    write_episodes(path, episodes)
    for name, figures in summarize(episodes).items():
        if name != "macro":
            k = figures["k"]
            print(
                f"gsr-rl eval: {config.eval.name} on {figures['n']} {name} problems: pass@1 {figures['pass@1']:.3f}, "
                f"maj@{k} {figures[f'maj@{k}']:.3f}, selfref@{k} {figures[f'selfref@{k}']:.3f}, "
                f"gap {figures['refinement_gap']:+.3f}; episodes in {path}"
            )
