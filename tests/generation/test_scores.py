"""Scores of a reward model: the request, and the responses of its server."""

import json

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.generation.requests import Answer
from gsr_rl.generation.scores import Scorer, at_root, read_score
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.served import Served


def test_the_request() -> None:
    prompts = PromptSet(direct="{problem} Box it.", system="Be brief.")
    request = Scorer("rm", prompts, {"priority": 1}).request("1 + 1?", "<think>hm</think>\n\\boxed{2}")
    messages = [{"role": "user", "content": "1 + 1? Box it."}, {"role": "assistant", "content": "\\boxed{2}"}]
    fixed = {"use_activation": False, "truncate_prompt_tokens": -1}
    assert request.body() == {"model": "rm", "messages": messages, **fixed, "priority": 1}
    assert request.path == "/pooling"
    assert request.key != Scorer("rm", prompts).request("1 + 1?", "\\boxed{3}").key
    assert request.read(body([-3.5])) == Answer("-3.5")


def body(data: object) -> bytes:
    return json.dumps({"object": "list", "data": [{"index": 0, "object": "pooling", "data": data}]}).encode()


@pytest.mark.parametrize(
    ("data", "score"),
    [
        ([0.25], 0.25),  # of a sequence
        ([[0.5], [7], [-2.125]], -2.125),  # of each token: the last counts
    ],
)
def test_one_number_is_a_score(data: object, score: float) -> None:
    assert read_score("rm", body(data)) == score


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([0.1, 0.9], "rm: gives 2 numbers for a response; use a reward model that gives one"),
        ([[0.1, 0.9]], "rm: gives 2 numbers for a response"),
        ([float("nan")], "rm: gives nan for a response; serve it with another dtype"),
    ],
)
def test_what_is_no_score_is_refused(data: object, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_score("rm", body(data))
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("broken", [b"", b"<html>", b"{}", b'{"data": []}', body([]), body("AAAA"), body(None)])
def test_a_body_that_may_be_the_server_s_fault_can_be_retried(broken: bytes) -> None:
    with pytest.raises(ValueError, match="a body that is no score"):
        read_score("rm", broken)


def test_the_pooling_api_is_beside_v1() -> None:
    served = Served(urls=["http://a:1/v1", "http://b/rm/v1/", "http://c"], model="rm")
    assert at_root(served).urls == ["http://a:1", "http://b/rm", "http://c"]


def test_vllm_takes_the_request() -> None:
    """The pooling API of vLLM's server has every key, and its answers have the form that we read."""
    from vllm.entrypoints.pooling.pooling.api_router import router
    from vllm.entrypoints.pooling.pooling.protocol import PoolingChatRequest, PoolingResponseData

    body = Scorer("rm", PromptSet()).request("1 + 1?", "2").body()
    assert set(body) <= set(PoolingChatRequest.model_fields)
    assert PoolingChatRequest(**body).use_activation is False
    assert "/pooling" in {route.path for route in router.routes}
    assert set(PoolingResponseData.model_fields) == {"index", "object", "data"}


def test_vllm_serves_reward_models_by_these_flags() -> None:
    from vllm.entrypoints.openai.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    from gsr_rl.generation import serve

    line = serve.command("m", 8123, {"served_model_name": "models-m", "runner": "pooling"})
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(line[3:])
    assert (arguments.runner, arguments.served_model_name) == ("pooling", ["models-m"])
