"""SFT rows for verl's SFT trainer (`sft.data.custom_cls`).

The prompt is encoded by the same function as in the rollout and in evaluation, so its token ids are the same. verl's
own dataset applies the chat template to a single message at a time, and some templates fail on that.
"""

from typing import Any

import torch
from omegaconf import DictConfig
from torch.utils.data import Dataset

from data_prep.rows import read_sft_rows
from gsr_rl.endings import in_opened_thought, opens_thought
from gsr_rl.plain_text import encode_text
from gsr_rl.prompts import PromptSet, Tokenizer, encode_prompt
from gsr_rl.verl_plugin.plain import plain


class GsrSftDataset(Dataset[dict[str, torch.Tensor]]):
    """Rows of prompt and response. The loss covers the response and its end-of-sequence token alone.

    `config` is verl's `data` section, with the recipe's prompts under `gsr_prompts`. Rows longer than `max_length`
    tokens were dropped when the file was written (`data_prep.rows`), so a longer one here is an error. An item holds
    `input_ids`, `position_ids` and `loss_mask`, each (tokens,).
    """

    def __init__(
        self,
        parquet_files: Any,
        tokenizer: Any,
        config: DictConfig,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        files = [parquet_files] if isinstance(parquet_files, str) else list(parquet_files)
        rows = [row for file in files for row in read_sft_rows(file)]
        self.rows = rows if max_samples < 0 else rows[:max_samples]
        self.tokenizer = tokenizer
        self.prompts = PromptSet.of(plain(config.gsr_prompts), "gsr.prompts")
        self.chat_kwargs = dict(config.apply_chat_template_kwargs)
        self.max_length = config.max_length

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.rows[index]
        prompt, response = encode_row(self.tokenizer, self.prompts, row.prompt, row.response, self.chat_kwargs)
        if len(prompt) + len(response) > self.max_length:
            raise ValueError(f"row {row.id}: {len(prompt) + len(response)} tokens, sft.data.max_length is smaller")
        input_ids = torch.tensor(prompt + response)
        return {
            "input_ids": input_ids,
            "position_ids": torch.arange(len(input_ids)),
            "loss_mask": torch.tensor([0] * len(prompt) + [1] * len(response)),
        }


def encode_row(
    tokenizer: Tokenizer, prompts: PromptSet, prompt: str, response: str, chat_kwargs: dict[str, Any]
) -> tuple[list[int], list[int]]:
    """Token ids of a row's prompt, and token ids of its response with the end-of-sequence token.

    Names of control tokens in either are encoded as text, so that a target ends where its text does. If the chat
    template opens the thought, the response goes on in it (`gsr_rl.endings.in_opened_thought`).

    Args:
        prompt: the user's message, templates already filled in.
        chat_kwargs: more arguments of the chat template.
    """
    prompt_ids = encode_prompt(tokenizer, prompts.messages(prompt), **chat_kwargs)
    if opens_thought(tokenizer, prompt_ids):
        response = in_opened_thought(response)
    eos = tokenizer.eos_token_id  # pyright: ignore[reportAttributeAccessIssue]
    return prompt_ids, [*encode_text(tokenizer, response), eos]
