"""Joining a Ray cluster: a real one of one node."""

import socket
from collections.abc import Iterator

import pytest
from ray._private import ray_constants
from ray.cluster_utils import Cluster

from gsr_rl.errors import UsageError
from gsr_rl.generation import cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    node = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise Ray takes 127.0.0.1 for another name of this machine's address on its network.
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        head = Cluster(initialize_head=True, head_node_args=node)
        yield head.address
        head.shutdown()


def test_a_cluster_with_a_gpu_is_seen(address: str) -> None:
    assert cluster.address_of({"address": address, "num_cpus": 16}) == address
    assert cluster.check_cluster(address) is True


def test_a_package_missing_on_a_node_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "NEEDED", ("verl", "no_such_package"))
    with pytest.raises(UsageError, match=r"node 127.0.0.1 lacks the packages no_such_package; install"):
        cluster.check_cluster(address)


def test_nobody_listens_there() -> None:
    with pytest.raises(UsageError, match=r"address=127.0.0.1:1: no Ray cluster there \([^;]*\)$"):
        cluster.check_cluster("127.0.0.1:1")


@pytest.mark.parametrize(
    ("mode", "hint"), [(None, "; if its head asks for a token, set RAY_AUTH_MODE=token"), ("token", "")]
)
def test_a_head_that_turns_away(monkeypatch: pytest.MonkeyPatch, mode: str | None, hint: str) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)

    def turned_away(**_: object) -> None:
        raise ConnectionError("Could not find any running\nRay instance")

    monkeypatch.setattr("ray.init", turned_away)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        reason = r"\(Could not find any running Ray instance\)"
        with pytest.raises(UsageError, match=rf"address={address}: no Ray cluster there {reason}{hint}$"):
            cluster.check_cluster(address)


def test_the_address_of_ray_s_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster.address_of({}) is cluster.address_of({"address": None}) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.address_of({"address": None}) == "10.0.0.1:6379"
    assert cluster.address_of({"address": "10.0.0.2:6379"}) == "10.0.0.2:6379"


@pytest.mark.parametrize(
    ("on_cpu", "wanted", "size", "most"),
    # One node with a GPU and 2 CPUs, one of which is left for reading.
    [(False, 2, 1, 1), (False, None, 2, 0), (True, 2, 1, 1), (True, None, 2, 0)],
)
def test_more_replicas_than_there_is_room_for(
    address: str, on_cpu: bool, wanted: int | None, size: int, most: int
) -> None:
    with (
        cluster.connected({"address": address}),
        pytest.raises(UsageError, match=rf"^generation.replicas={wanted}: must be at most {most}:"),
    ):
        cluster.check_replicas(on_cpu, wanted, size)


@pytest.mark.parametrize("on_cpu", [False, True])
@pytest.mark.parametrize("wanted", [None, 1])
def test_replicas_that_fit(address: str, on_cpu: bool, wanted: int | None) -> None:
    with cluster.connected({"address": address}):
        assert cluster.check_replicas(on_cpu, wanted, 1) == 1
