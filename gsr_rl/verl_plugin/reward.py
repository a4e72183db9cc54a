"""The verdict of the reward function that a recipe configures, and its use outside of verl's reward loop."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from verl.trainer.ppo.reward import get_custom_reward_fn

from gsr_rl.episode import Problem
from gsr_rl.settings.compose import rl_config
from gsr_rl.settings.settings import Settings

logger = logging.getLogger(__name__)


def is_correct(result: float | Mapping[str, Any]) -> bool:
    """Whether a response is correct, by the result of its reward function: `acc` (else `score`) is above one half.

    Args:
        result: the score alone, or a mapping with `score` and perhaps `acc`, as verl takes them.
    """
    value = result.get("acc", result["score"]) if isinstance(result, Mapping) else result
    return float(value) > 0.5


def load_judge(settings: Settings) -> Callable[[Problem, str], bool]:
    """A function that says whether a response to a problem is correct, by `reward.custom_reward_function`.

    The reward function may be a coroutine function. A response on which it fails is not correct; the failure is logged.
    """
    score = get_custom_reward_fn(rl_config(settings))

    def judge(problem: Problem, text: str) -> bool:
        extra_info = {"id": problem.id}
        try:
            result: Any = score(problem.dataset, text, problem.gold, extra_info)
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
        except Exception:
            logger.exception("gsr-rl: the reward function failed on a response to problem %s", problem.id)
            return False
        return is_correct(result)

    return judge


async def _awaited(result: Any) -> Any:
    return await result
