"""Encodes texts as text: the name of a control token within a problem, candidate or target becomes no control token.

A text without such a name is encoded by the tokenizer alone, so that its token ids are what they always were.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

# Marks of a thought are what models write themselves. They are no control tokens, even if a tokenizer says so.
_THOUGHT = ("<think>", "</think>")
_PROBE = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]


class Controls:
    """The control tokens of a tokenizer.

    They are its special tokens, and those of its other added tokens that its chat template puts around messages.
    """

    def __init__(self, tokenizer: Any) -> None:
        added = {token.content: token for token in (getattr(tokenizer, "added_tokens_decoder", None) or {}).values()}
        special = {name for name, token in added.items() if token.special}
        special |= {name for name in getattr(tokenizer, "all_special_tokens", None) or [] if name}
        turns = _template_text(tokenizer)
        own = {name for name in added if name not in special and name in turns and name not in _THOUGHT}
        self.special = special - set(_THOUGHT)
        self.kept = sorted(special & set(_THOUGHT))
        self.own = own
        # A character that the vocabulary lacks may become the unknown token.
        self.ids = {tokenizer.convert_tokens_to_ids(name) for name in self.special | own} - {
            getattr(tokenizer, "unk_token_id", None)
        }
        self.added = added
        self.pattern = _any_of(self.special | own)

    def are_in(self, text: str) -> bool:
        """Whether a text names one of them."""
        return self.pattern.search(text) is not None


_known: "WeakKeyDictionary[Any, Controls]" = WeakKeyDictionary()


def controls_of(tokenizer: Any) -> Controls:
    """The control tokens of `tokenizer`, computed once."""
    found = _known.get(tokenizer)
    if found is None:
        found = _known[tokenizer] = Controls(tokenizer)
    return found


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text, in which nothing stands for a control token."""
    controls = controls_of(tokenizer)
    if not controls.are_in(text):
        return list(tokenizer.encode(text, add_special_tokens=False))
    # `split_special_tokens` reads special tokens as text, but not other added tokens, nor a special token that is an
    # ordinary piece of the vocabulary too. The names of those are encoded in two parts.
    ids = _encode_pieces(tokenizer, controls, text, controls.own)
    if controls.ids.isdisjoint(ids):
        return ids
    return _encode_pieces(tokenizer, controls, text, controls.own | controls.special)


def _encode_pieces(tokenizer: Any, controls: "Controls", text: str, apart: Collection[str]) -> list[int]:
    ids: list[int] = []
    for piece in _pieces(controls, text, apart):
        split = piece not in controls.kept
        ids += tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=split)
    return ids


def encode_chat(tokenizer: Any, messages: Sequence[dict[str, str]], **chat_kwargs: Any) -> list[int]:
    """Token ids of chat messages with the generation prompt. Control tokens come from the chat template alone."""
    controls = controls_of(tokenizer)
    if not any(controls.are_in(text) for message in messages for text in message.values()):
        ids = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False, **chat_kwargs
        )
        return list(ids)
    names = sorted(controls.special | controls.own, key=len, reverse=True)
    mark = next(sign for sign in _signs() if not any(sign in text for each in messages for text in each.values()))

    def masked(text: str) -> str:
        return controls.pattern.sub(lambda match: f"{mark}{names.index(match[0])}{mark}", text)

    hidden = [{key: masked(text) for key, text in message.items()} for message in messages]
    rendered: str = tokenizer.apply_chat_template(hidden, add_generation_prompt=True, tokenize=False, **chat_kwargs)
    ids = []
    before = ""  # the control token before a part
    for part, is_control in _of_template(controls, rendered):
        text = re.sub(f"{mark}(\\d+){mark}", lambda match: names[int(match[1])], part)
        if is_control:
            ids.append(tokenizer.convert_tokens_to_ids(part))
        elif before and text == part:  # beside the token, since some tokenizers begin a text with a space of their own
            ids += tokenizer.encode(before + text, add_special_tokens=False)[1:]
        elif text:
            ids += encode_text(tokenizer, text)
        before = part if is_control else ""
    return ids


def _of_template(controls: Controls, rendered: str) -> Iterator[tuple[str, bool]]:
    """The text of a conversation, cut at its control tokens; blanks that a token swallows are gone."""
    parts = re.split(f"({controls.pattern.pattern})", rendered)
    for number, part in enumerate(parts):
        if number % 2 == 0:
            before = controls.added.get(parts[number - 1]) if number else None
            after = controls.added.get(parts[number + 1]) if number + 1 < len(parts) else None
            part = part.lstrip() if before is not None and before.rstrip else part
            part = part.rstrip() if after is not None and after.lstrip else part
        yield part, bool(number % 2)


def _pieces(controls: Controls, text: str, apart: Collection[str]) -> Iterator[str]:
    """A text in pieces, none of which holds one of the names `apart`; a special mark of a thought is one piece."""
    for part in re.split(f"({_any_of(controls.kept).pattern})", text):
        last = 0
        for match in _any_of(apart).finditer(part):
            yield part[last : match.start() + 1]
            last = match.start() + 1
        if part[last:]:
            yield part[last:]


def _template_text(tokenizer: Any) -> str:
    """What the chat template makes of a short conversation; nothing if there is no template, or it refuses this."""
    if not getattr(tokenizer, "chat_template", None):
        return ""
    try:
        return tokenizer.apply_chat_template(_PROBE, add_generation_prompt=True, tokenize=False)
    except Exception:  # templates raise errors of their own
        return str(tokenizer.chat_template)


def _any_of(names: Any) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) if longest_first else r"(?!)")


def _signs() -> Iterator[str]:
    """Characters of a private area of Unicode, one of which occurs in none of the messages."""
    return map(chr, range(0xE000, 0xF8FF))
