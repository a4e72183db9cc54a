"""Rows of a batch in TransferQueue, known by their keys and tags."""

from collections.abc import Iterable, Sequence

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta


def select_rows(batch: KVBatchMeta, keep: Sequence[int]) -> KVBatchMeta:
    """The rows at these indices. Their `extra_info` is a copy: verl's settings of one pass would change the next."""
    return KVBatchMeta(
        keys=[batch.keys[i] for i in keep],
        tags=[batch.tags[i] for i in keep],
        partition_id=batch.partition_id,
        fields=batch.fields,
        extra_info=dict(batch.extra_info),
    )


def count_real(batch: KVBatchMeta) -> int:
    """Number of rows that are not padding."""
    return sum(not tag.get("is_padding") for tag in batch.tags)


def put_zeros(batch: KVBatchMeta, fields: Iterable[str]) -> None:
    """Write fields with a 0.0 for each response token of each row, as verl writes advantages."""
    rows = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["response_mask"])
    zeros = [torch.zeros(len(mask)) for mask in rows["response_mask"].unbind()]
    nested = torch.nested.as_nested_tensor(zeros, layout=torch.jagged)
    values = TensorDict(dict.fromkeys(fields, nested), batch_size=len(batch))
    tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=values)
