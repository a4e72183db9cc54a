"""The whole of a recipe, and the `problems:` section of it."""

from pathlib import Path

import pytest
from composed import changed, composed

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import Sampling
from gsr_rl.settings.settings import sampling_parameters


def test_the_folder_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert changed(composed("quickstart_cpu"), "run_dir=a/b").folder.root == tmp_path / "a" / "b"


def test_stages_that_are_left_out() -> None:
    settings = composed("quickstart_cpu")
    assert settings.skipped_stages == set()
    assert changed(settings, "warmup.steps=0").skipped_stages == {"warmup"}
    assert changed(settings, "skip_stages=[sft,train]").skipped_stages == {"sft", "train"}
    with pytest.raises(UsageError, match=r"^skip_stages\.0=tarin: must be one of data, warmup, teach, sft, train, "):
        changed(settings, "skip_stages=[tarin]")


def test_arguments_of_an_engine_outside_of_training() -> None:
    settings = changed(composed("quickstart_cpu"), "gsr.seed=3", "actor_rollout_ref.rollout.dtype=float16")
    arguments = {
        "max_model_len": 300,
        "max_num_seqs": 128,
        "tensor_parallel_size": 1,
        "gpu_memory_utilization": 0.9,
        "dtype": "float16",
        "enforce_eager": True,
        "seed": 3,
        # recipes/cpu.yaml
        "block_size": 32,
        "enable_chunked_prefill": False,
    }
    assert settings.engine_arguments(300) == arguments
    settings = changed(settings, "generation.engine.max_num_seqs=7", "generation.engine.seed=null")
    assert settings.engine_arguments(300) == arguments | {"max_num_seqs": 7, "seed": None}


def test_the_longest_request() -> None:
    settings = changed(composed("quickstart_cpu"), "gsr.candidate_tokens=7", "gsr.refinement_tokens=9")
    assert settings.longest_request == 256 + 9


def test_parameters_of_a_request() -> None:
    assert sampling_parameters(Sampling(), 5, {}) == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 5}
    assert sampling_parameters(Sampling(temperature=0.5, top_p=0.9, top_k=3), 5, {"enable_thinking": False}) == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "max_tokens": 5,
        "chat_template_kwargs": {"enable_thinking": False},
    }


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["problems.source=null"], "problems.source=None: must be text"),
        (["problems.revision=main"], "problems.revision=main: must be a commit of 40 hexadecimal digits"),
        (
            [f"problems.revision={'a' * 40}", "problems.mirror=folder"],
            f"problems.revision={'a' * 40}: must be null where problems.mirror says which files are read",
        ),
        (
            ["problems.pass_rate.min=0.6", "problems.pass_rate.max=0.5"],
            "problems.pass_rate.min=0.6: must be at most problems.pass_rate.max=0.5",
        ),
        (["problems.pass_rate.min=0.1"], "problems.difficulty=None: must be a file of episodes"),
        (["problems.pass_rate.max=0.9"], "problems.difficulty=None: must be a file of episodes"),
        (["problems.pass_rate.unsampled=drop"], "problems.difficulty=None: must be a file of episodes"),
        (
            ["problems.pair_sums.largest=2"],
            "problems.pair_sums.largest=2: must be at least problems.pair_sums.numbers=3",
        ),
        (["problems.pair_sums.numbers=1"], "problems.pair_sums.numbers=1: must be at least 2"),
        (["problems.knights_knaves.people=[]"], "problems.knights_knaves.people=[]: must be a list of whole numbers"),
        (["problems.knights_knaves.people=[1]"], "problems.knights_knaves.people=[1]: must be a list of whole numbers"),
        (["problems.knights_knaves.people=[2,9]"], "problems.knights_knaves.people=[2, 9]: must be a list of whole"),
    ],
)
def test_problems_that_cannot_be_had(overrides: list[str], line: str) -> None:
    settings = composed("quickstart_cpu")
    with pytest.raises(UsageError) as raised:
        changed(settings, *overrides)
    assert str(raised.value).startswith(line)
