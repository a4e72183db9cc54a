"""`teach`, `eval` and RL give a model the same token ids for a problem, and SFT trains on them."""

import json
from pathlib import Path
from typing import Any

import pytest
from adder import ScriptedEngine
from composed import changed, composed
from omegaconf import OmegaConf
from rollout import Request, make_row, run_loop
from scripted_server import completion
from tiny import CHAT_TEMPLATE, tiny_tokenizer

from data_prep.problems import load_problems
from data_prep.rows import read_sft_rows
from gsr_rl.generation import roles
from gsr_rl.settings.compose import rl_config
from gsr_rl.stages import data, evaluate, teach
from gsr_rl.verl_plugin.sft_dataset import encode_row

# An argument of the chat template shows in the ids.
TEMPLATE = CHAT_TEMPLATE.replace("assistant\n", "assistant {{ tone }}\n")
TEXT = "I see. " * 12 + "\\boxed{(1, 2)}"


@pytest.mark.parametrize("prompt_length", [600, 270])
def test_token_ids_are_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt_length: int) -> None:
    """With room for whole candidates, and without."""
    tokenizer: Any = tiny_tokenizer(TEMPLATE)
    model = tmp_path / "tiny"
    tokenizer.save_pretrained(model)
    (model / "config.json").write_text(json.dumps({"model_type": "llama"}))
    settings = changed(
        composed("quickstart_cpu"),
        *(f"run_dir={tmp_path / 'run'}", f"base_model={model}", f"eval.model={model}", "eval.swapped=0", "gsr.k=3"),
        *("problems.train=4", "problems.dev=1", "problems.held_out=1", "eval.split=train", "eval.name=mine"),
        "data.apply_chat_template_kwargs={tone: kindly}",
        *(f"actor_rollout_ref.rollout.prompt_length={prompt_length}", "gsr.candidate_tokens=112"),
    )
    engine = ScriptedEngine()
    engine.handler = lambda body: completion(TEXT)
    monkeypatch.setattr(roles, "Engine", engine)

    def ids(kind: str) -> list[list[int]]:
        return [list(request.prompt) for request in engine.requests if request.kind == kind and request.index == 0]  # pyright: ignore[reportArgumentType]

    data.run(settings)
    problems = load_problems(settings.folder.problems("train"))
    teach.run(settings)
    taught = ids("candidate 0")
    evaluate.run(settings)
    evaluated, refined = ids("candidate 0")[len(taught) :], ids("refinement 0")

    config = rl_config(settings)
    OmegaConf.resolve(config)

    async def reply(request: Request) -> str:
        return TEXT

    rolled_out = []
    for problem in problems:
        _, client = run_loop(tokenizer, reply, config, make_row(problem.problem, problem.gold), validate=True)
        rolled_out.append((client.requests[0].prompt_ids, client.requests[-1].prompt_ids))
    assert taught == evaluated == [direct for direct, _ in rolled_out]
    assert refined == [refine for _, refine in rolled_out]
    assert len(set(map(tuple, [*taught, *refined]))) == 2 * len(problems)
    assert "kindly" in tokenizer.decode(taught[0])
    assert ("cut off" in tokenizer.decode(refined[0])) == (prompt_length < 600)

    prompts = {"direct": {tuple(ids) for ids in taught}, "refine": {tuple(ids) for ids in refined}}
    rows = read_sft_rows(settings.folder.sft_rows("sft"))
    for kind, wanted in prompts.items():
        encoded = [
            encode_row(tokenizer, settings.gsr.prompts, row.prompt, row.response, {"tone": "kindly"})[0]
            for row in rows
            if row.kind == kind
        ]
        # The mix of rows leaves some out.
        assert encoded and {tuple(prompt) for prompt in encoded} <= wanted
