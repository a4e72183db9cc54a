"""The Ray cluster that a run joins (`ray_kwargs.ray_init.address`, or RAY_ADDRESS), and the connection to Ray.

The cluster is looked at before the run starts.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gsr_rl.errors import UsageError, require

NEEDED = ("gsr_rl", "rewards", "verl", "vllm", "torch", "math_verify")


def address_of(ray_init: Mapping[str, Any]) -> str | None:
    """Address of the cluster that the run joins; None if the run starts a Ray of its own."""
    return ray_init.get("address") or os.environ.get("RAY_ADDRESS") or None


def check_cluster(address: str) -> bool:
    """Whether the cluster at `address` has an accelerator.

    Raises:
        UsageError: there is no cluster, or a package that the run needs is missing on one of its nodes.
    """
    import ray

    token = ""
    try:
        _knock(address)
        if "RAY_AUTH_MODE" not in os.environ:
            # Ray 2.60 gives no reason where its head wants a token, which `ray start` does if ~/.ray holds one.
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
def connected(ray_init: Mapping[str, Any]) -> Iterator[None]:
    """Ray, for as long as the block lasts: the cluster that the run joins, or else a Ray of its own.

    Args:
        ray_init: `ray_kwargs.ray_init` of the recipe.
    """
    import ray

    # Without an address Ray would look for a cluster itself.
    ray.init(**{**ray_init, "address": address_of(ray_init) or "local", "log_to_driver": False})
    try:
        yield
    finally:
        ray.shutdown()


def check_replicas(on_cpu: bool, wanted: int | None, size: int) -> int:
    """How many replicas of a model run on the cluster that is `connected`: `wanted`, or as many as fit.

    On CPUs one replica a node fits.

    Args:
        wanted: `generation.replicas`.
        size: GPUs of a replica; on CPUs the CPUs that it asks for.

    Raises:
        UsageError: the cluster has no room for that many; says how many it has room for.
    """
    import ray

    name = "CPU" if on_cpu else "GPU"
    nodes = [int(node["Resources"].get(name, 0)) for node in ray.nodes() if node["Alive"]]
    if on_cpu:  # one CPU is left for reading the requests
        nodes[0] -= 1
    # A replica that is larger than any node is spread over several.
    most = sum(free // size for free in nodes) or sum(nodes) // size
    need = f"a replica asks for {size} {name}, and the cluster has {sum(nodes)} to give"
    require(most >= (wanted or 1), "generation.replicas", wanted, f"at most {most}: {need}")
    return wanted or (min(most, len(nodes)) if on_cpu else most)


def _knock(address: str) -> None:
    """OSError where nobody listens at `host:port`: Ray itself would try again for ten minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _missing_packages() -> dict[str, list[str]]:
    """By node's address, the packages of NEEDED that it cannot import."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # A function within a function: Ray sends its code. A module's function would be imported there, which may fail.
    def missing(names: tuple[str, ...]) -> list[str]:
        from importlib.util import find_spec

        return [name for name in names if find_spec(name) is None]

    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    pinned = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    task = ray.remote(num_cpus=0)(missing)
    found = ray.get([task.options(scheduling_strategy=strategy).remote(NEEDED) for strategy in pinned])
    return {node["NodeManagerAddress"]: packages for node, packages in zip(nodes, found, strict=True)}
