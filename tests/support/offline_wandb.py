"""Reads the file of an offline W&B run: protobuf records in blocks of 32 KB, as in a LevelDB log."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _HEADER = 32_768, struct.Struct("<IHB")  # checksum, length, kind of piece
_WHOLE, _LAST = 1, 4


def read_run(folder: Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]], dict[str, Any]]:
    """Configuration, history by step, and summary of the only run below `folder`. Nested keys are joined by "/"."""
    (file,) = folder.rglob("run-*.wandb")
    config: dict[str, Any] = {}
    history: dict[int, dict[str, Any]] = {}
    summary: dict[str, Any] = {}
    for record in _records(file.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            config |= _items(record.run.config.update)
        elif kind == "config":
            config |= _items(record.config.update)
        elif kind == "history":
            history[record.history.step.num] = _items(record.history.item)
        elif kind == "summary":
            summary |= _items(record.summary.update)
    return config, history, summary


def _records(content: bytes) -> Iterator[Any]:
    at, pieces = 7, b""  # after the file's own header
    while at + _HEADER.size <= len(content):
        if _BLOCK - at % _BLOCK < _HEADER.size:
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        pieces += content[at : at + length]
        at += length
        if kind in (_WHOLE, _LAST):
            yield wandb_internal_pb2.Record.FromString(pieces)
            pieces = b""


def _items(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
