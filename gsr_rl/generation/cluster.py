"""A Ray cluster that a run joins (`ray_kwargs.ray_init.address`, or RAY_ADDRESS), looked at before the run starts, and
the connection to it, or to a Ray of the run's own."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from gsr_rl.errors import UsageError, require

NEEDED = ("gsr_rl", "rewards", "verl", "vllm", "torch", "math_verify")


def address_of(config: DictConfig) -> str | None:
    """Where the cluster is that the run joins; None if it starts a Ray of its own."""
    return config.ray_kwargs.ray_init.get("address") or os.environ.get("RAY_ADDRESS") or None


def check_cluster(config: DictConfig, address: str) -> bool:
    """Whether the cluster at `address` has an accelerator.

    What a recipe says of the size of a Ray of its own is taken out of `config`: Ray refuses it of one that is joined.

    Raises:
        UsageError: there is no cluster, or a package that the run needs is missing on one of its nodes.
    """
    import ray

    with open_dict(config):
        for key in ("num_cpus", "num_gpus"):
            config.ray_kwargs.ray_init.pop(key, None)
    token = ""
    try:
        _knock(address)
        if "RAY_AUTH_MODE" not in os.environ:
            # Ray 2.60 says no more where its head asks for one, which `ray start` does once there is one in ~/.ray.
            token = "; if its head asks for a token, set RAY_AUTH_MODE=token"
        ray.init(address=address, log_to_driver=False)
    except OSError as error:  # ConnectionError among them
        reason = " ".join(str(error).split())
        raise UsageError(f"ray_kwargs.ray_init.address={address}: no Ray cluster there ({reason}){token}") from None
    try:
        missing = _missing_packages()
        resources = ray.cluster_resources()
    finally:
        ray.shutdown()
    for node, packages in missing.items():
        if packages:
            lacks = f"node {node} lacks the packages {', '.join(packages)}"
            raise UsageError(f"ray_kwargs.ray_init.address={address}: {lacks}; install gsr-rl there as here")
    return resources.get("GPU", 0) > 0 or resources.get("NPU", 0) > 0


@contextmanager
def connected(config: DictConfig) -> Iterator[None]:
    """Ray by `ray_kwargs.ray_init`, for as long as the block lasts: the cluster there, or else one of our own."""
    import ray

    settings: Any = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)
    # Without an address Ray would look for one itself.
    ray.init(**{**settings, "address": address_of(config) or "local", "log_to_driver": False})
    try:
        yield
    finally:
        ray.shutdown()


def check_replicas(config: DictConfig, key: str, wanted: int | None, size: int) -> int:
    """How many replicas of a model run on the cluster that is `connected`: `wanted`, or if that is None as many as fit,
    on CPUs one a node.

    Args:
        key: of the configuration, for the error.
        size: GPUs of a replica; on CPUs the CPUs that it asks for.

    Raises:
        UsageError: the cluster has no room for so many; says how many it has room for.
    """
    import ray

    on_cpu = config.trainer.device == "cpu"
    name = "CPU" if on_cpu else "GPU"
    nodes = [int(node["Resources"].get(name, 0)) for node in ray.nodes() if node["Alive"]]
    if on_cpu:  # one is left for reading the requests
        nodes[0] -= 1
    # A replica larger than any node is spread over several.
    most = sum(free // size for free in nodes) or sum(nodes) // size
    need = f"a replica asks for {size} {name}, and the cluster has {sum(nodes)} to give"
    require(most >= (wanted or 1), key, wanted, f"at most {most}: {need}")
    return wanted or (min(most, len(nodes)) if on_cpu else most)


def _knock(address: str) -> None:
    """OSError where nobody listens at `host:port`: Ray itself would try again for ten minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _missing_packages() -> dict[str, list[str]]:
    """By node's address, what of NEEDED it cannot import."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # A function within a function: Ray sends its code. A module's own would be imported, which is what may fail there.
    def missing(names: tuple[str, ...]) -> list[str]:
        from importlib.util import find_spec

        return [name for name in names if find_spec(name) is None]

    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    here = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    task = ray.remote(num_cpus=0)(missing)
    found = ray.get([task.options(scheduling_strategy=strategy).remote(NEEDED) for strategy in here])
    return {node["NodeManagerAddress"]: packages for node, packages in zip(nodes, found, strict=True)}
