"""The verdict of the reward function that a recipe configures, and its use outside of verl's reward loop."""

import asyncio
import copy
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from verl.trainer.ppo.reward import get_custom_reward_fn

from data_prep.extra_info import extra_info
from gsr_rl.episode import Problem, Verdict
from gsr_rl.settings.compose import rl_config
from gsr_rl.settings.settings import Settings

logger = logging.getLogger(__name__)

TURNS = 2  # of a conversation: the prompt and the response


def is_correct(result: float | Mapping[str, Any]) -> bool:
    """Whether a response is correct, by the result of its reward function: `acc` (else `score`) is above one half.

    Args:
        result: the score alone, or a mapping with `score` and perhaps `acc`, as verl takes them.

    Raises:
        KeyError: the mapping has neither.
    """
    if isinstance(result, Mapping):
        result = result["acc"] if "acc" in result else result["score"]
    return float(result) > 0.5


def verdict(result: float | Mapping[str, Any]) -> bool | Verdict:
    """`is_correct`, with the response's answer if the result gives one.

    Args:
        result: see `is_correct`. A mapping may hold `answer`, as text or a number, or null for no answer. Otherwise
            the answer is extracted from the response's text.
    """
    if not (isinstance(result, Mapping) and "answer" in result):
        return is_correct(result)
    answer = result["answer"]
    return Verdict(is_correct(result), None if answer is None or not str(answer).strip() else str(answer))


class RewardJudge:
    """Says whether a response to a problem is correct, by a reward function; for use outside of verl's reward loop.

    A response on which the function fails, or returns no score, is not correct. Such failures are logged and counted.

    Args:
        score: the reward function, perhaps a coroutine function.
        known: problems with their `extra_info`. An episode keeps none, and so a problem that comes from one has none.

    Attributes:
        failed: responses on which the function failed.
    """

    def __init__(self, score: Callable[..., Any], known: Iterable[Problem] = ()) -> None:
        self._score = score
        self._known = {(problem.dataset, problem.id): problem for problem in known}
        self.failed = 0

    def __call__(self, problem: Problem, text: str) -> bool | Verdict:
        """The verdict on `text`."""
        if not problem.extra_info:
            problem = self._known.get((problem.dataset, problem.id), problem)
        try:
            result = self._score(problem.dataset, text, problem.gold, _extra_info(problem))
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
            return verdict(result)
        except Exception:
            self.failed += 1
            what = "gsr-rl: the reward function failed on a response to problem %s (failure %d)"
            logger.exception(what, problem.id, self.failed)
            return False


def _extra_info(problem: Problem) -> dict[str, Any]:
    """What verl's reward loop hands over as `extra_info`: the row's own, and what verl adds to every row."""
    own = extra_info(copy.deepcopy(dict(problem.extra_info)), problem.id, None)
    return own | {"num_turns": TURNS, "rollout_reward_scores": {}}


def load_judge(settings: Settings, known: Iterable[Problem] = ()) -> RewardJudge:
    """The judge by `reward.custom_reward_function`; for `known` see `RewardJudge`."""
    score: Any = get_custom_reward_fn(rl_config(settings))
    return RewardJudge(score, known)


async def _awaited(result: Any) -> Any:
    return await result
