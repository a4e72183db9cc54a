"""The formulas of bench/cost_model.py: tokens, FLOPs, bytes and least seconds of a training step. Pure Python.

"Plain" is verl's own path, which computes each row with its prompt. "Shared" computes a prompt once for the rows of a
group that are together, and logits of responses alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from math import ceil

CARD_BYTES = 80e9  # of an H100
NODE, NODE_LINK, NETWORK_LINK = 8, 450e9, 50e9  # GPUs of a node; bytes/s that a GPU receives within and across nodes
STATE_BYTES = 16  # of a trained weight, in float32: itself, its gradient, and Adam's two moments


@dataclass(frozen=True)
class Card:
    """Peak rates of a card, and the shares of them that are assumed."""

    flops: float
    bandwidth: float
    flops_share: float
    bandwidth_share: float

    @property
    def rate(self) -> float:
        return self.flops * self.flops_share


@dataclass(frozen=True)
class Shape:
    """A decoder with a gated MLP. Norms and biases, below 0.03 % of the weights, are left out."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool

    @property
    def layer(self) -> int:
        """Weights of a layer."""
        return self.hidden * (2 * self.head_dim * (self.heads + self.kv_heads) + 3 * self.intermediate)

    @property
    def head(self) -> int:
        """Weights that make a token's logits."""
        return self.vocab * self.hidden

    @property
    def multiplied(self) -> int:
        """Weights that a token with logits is multiplied with; looking up its embedding multiplies nothing."""
        return self.layers * self.layer + self.head

    @property
    def weights(self) -> int:
        return self.multiplied + (0 if self.tied else self.head)

    @property
    def kv_bytes(self) -> int:
        """Of a token in the cache, in bfloat16."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim


@dataclass(frozen=True)
class Stage:
    """The rows of a stage: groups, rows of a group, tokens of its prompt and of a response."""

    groups: float
    rows: int
    prompt: int
    response: int


@dataclass(frozen=True)
class Work:
    """Tokens through the layers, positions with logits, and pairs of a token and a token that it attends to."""

    tokens: float = 0
    logits: float = 0
    pairs: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def times(self, factor: float) -> "Work":
        return Work(*(getattr(self, field.name) * factor for field in fields(self)))


def total(works: Iterable[Work]) -> Work:
    return sum(works, Work())


@dataclass(frozen=True)
class Step:
    """A training step: problems, mini-batches, stages and limits."""

    problems: int
    mini_batches: int
    budget: int
    """Tokens of a micro-batch."""
    vllm_share: float
    max_num_seqs: int
    candidates: Stage
    refinements: Stage
    signal: float = 1.0
    """Share of the groups that are trained."""

    @property
    def stages(self) -> tuple[Stage, Stage]:
        return self.candidates, self.refinements


def triangle(n: int) -> float:
    """Pairs of n tokens of which each sees itself and those before it."""
    return n * (n + 1) / 2


def plain(stage: Stage) -> Work:
    """Each row with its prompt."""
    length = stage.prompt + stage.response
    return Work(length, length, triangle(length)).times(stage.groups * stage.rows)


def shared(stage: Stage, together: int) -> Work:
    """The prompt once for each `together` rows of a group."""
    part = Work(stage.prompt, 0, triangle(stage.prompt)).times(ceil(stage.rows / together))
    return (part + generated(stage).times(stage.rows)).times(stage.groups)


def generated(stage: Stage) -> Work:
    """A response on a prompt that is there."""
    n = stage.response
    return Work(n, n, n * stage.prompt + triangle(n))


def rows_together(stage: Stage, budget: int, cells: int) -> int:
    """Rows of a group that share a micro-batch, where the stage's rows are dealt evenly to `cells`."""
    fit = (budget - stage.prompt) // stage.response
    return max(1, min(stage.rows, fit, int(stage.groups * stage.rows / cells)))


def trained(step: Step, cells: int, is_shared: bool) -> Work:
    """Work of a pass of log-probs or of an update, dealt to `cells`: GPUs, or GPUs times mini-batches."""
    stages = [replace(stage, groups=stage.groups * step.signal) for stage in step.stages]
    return total(shared(s, rows_together(s, step.budget, cells)) if is_shared else plain(s) for s in stages)


def flops(shape: Shape, work: Work, per_weight: int = 2) -> float:
    """2 of a forward pass, 6 of a forward and backward pass, for each weight and token; attention likewise."""
    attention = 2 * shape.layers * shape.heads * shape.head_dim * work.pairs
    return per_weight * (shape.layers * shape.layer * work.tokens + shape.head * work.logits + attention)


def prefilled(stage: Stage, is_cached: bool) -> Work:
    """Prompts of the rollout: each once, or once for each row. Only the last token has logits."""
    prompt = Work(stage.prompt, 0, triangle(stage.prompt)).times(1 if is_cached else stage.rows)
    return (prompt + Work(0, stage.rows, 0)).times(stage.groups)


def cache_tokens(step: Step, is_shared: bool) -> int:
    """Most tokens that a problem keeps in the KV cache: those of its longer stage."""
    return max((1 if is_shared else s.rows) * s.prompt + s.rows * s.response for s in step.stages)


def cache_space(shape: Shape, step: Step) -> float:
    """Bytes for the KV cache on a GPU."""
    return step.vllm_share * CARD_BYTES - 2 * shape.weights


def decode(shape: Shape, step: Step, gpus: int) -> tuple[float, float, float]:
    """Iterations, bytes read and FLOPs of the busiest replica; one replica a GPU."""
    share = ceil(step.problems / gpus) / step.problems
    work = total(generated(s).times(s.groups * s.rows) for s in step.stages).times(share)
    row = max(s.prompt / s.rows + s.response / 2 for s in step.stages)  # in the middle of its response
    slots = min(step.max_num_seqs, cache_space(shape, step) / (shape.kv_bytes * row))
    iterations = max(sum(s.response for s in step.stages), work.tokens / slots)
    return iterations, iterations * 2 * shape.multiplied + shape.kv_bytes * work.pairs, flops(shape, work)


def sync_bytes(shape: Shape, gpus: int) -> float:
    """Bytes that a GPU receives in a weight sync: verl gathers the weights in float32."""
    return 4 * shape.weights * (1 - 1 / gpus)


def logit_positions(step: Step, stage: Stage, cells: int) -> float:
    """Positions with logits in a full micro-batch of groups of one stage, on the shared path."""
    work = shared(stage, rows_together(stage, step.budget, cells))
    return min(step.budget, work.tokens / cells) * work.logits / work.tokens


def training_bytes(shape: Shape, gpus: int) -> tuple[float, float]:
    """What a GPU holds of weights, gradients and optimizer; and the largest unit that FSDP gathers.

    The unit's weights are in bfloat16, its gradient in float32.
    """
    return STATE_BYTES * shape.weights / gpus, 6 * max(shape.layer, shape.head)


def seconds(shape: Shape, step: Step, gpus: int, card: Card) -> dict[str, tuple[float, float]]:
    """Least seconds of each part, plain and shared. The rollout has a prefix cache on either path."""
    busiest = ceil(step.problems / gpus) / step.problems
    prefill = flops(shape, total(prefilled(s, True) for s in step.stages).times(busiest)) / card.rate
    _, read, computed = decode(shape, step, gpus)
    decoding = max(computed / card.rate, read / (card.bandwidth * card.bandwidth_share))
    sync = sync_bytes(shape, gpus) / (NODE_LINK if gpus <= NODE else NETWORK_LINK)

    def of_pass(cells: int, per_weight: int) -> tuple[float, float]:
        plain, shared = (flops(shape, trained(step, cells, is_shared), per_weight) for is_shared in (False, True))
        return plain / card.rate / gpus, shared / card.rate / gpus

    return {
        "prefill": (prefill, prefill),
        "decode": (decoding, decoding),
        "log-probs": of_pass(gpus, 2),
        "update": of_pass(gpus * step.mini_batches, 6),
        "weight sync": (sync, sync),
    }
