"""The reward function that a recipe configures, for use outside of verl's reward loop."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig
from verl.trainer.ppo.reward import get_custom_reward_fn

from gsr_rl.episode import Problem

logger = logging.getLogger(__name__)


def load_judge(config: DictConfig) -> Callable[[Problem, str], bool]:
    """Whether a response is correct, by `reward.custom_reward_function`; a response on which it fails is not."""
    score = get_custom_reward_fn(config)

    def judge(problem: Problem, text: str) -> bool:
        extra_info = {"id": problem.id}
        try:
            result: Any = score(problem.dataset, text, problem.gold, extra_info)
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
        except Exception:
            logger.exception("gsr-rl: the reward function failed on a response to problem %s", problem.id)
            return False
        if isinstance(result, dict):
            result = result.get("acc", result["score"])
        return float(result) > 0.5

    return judge


async def _awaited(result: Any) -> Any:
    return await result
