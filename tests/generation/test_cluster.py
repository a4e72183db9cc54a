"""Joining a Ray cluster: a real one of one node."""

import socket
from collections.abc import Iterator

import pytest
from ray._private import ray_constants
from ray.cluster_utils import Cluster

from gsr_rl.errors import UsageError
from gsr_rl.generation import cluster
from gsr_rl.settings.compose import load_recipe


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    node = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    with pytest.MonkeyPatch.context() as patch:
        # Else Ray takes 127.0.0.1 for another name of this machine's address on its network.
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        one = Cluster(initialize_head=True, head_node_args=node)
        yield one.address
        one.shutdown()


def test_a_cluster_with_a_gpu_is_seen_and_its_size_left_to_it(address: str) -> None:
    config = load_recipe("quickstart_cpu", [f"ray_kwargs.ray_init.address={address}"])
    assert config.ray_kwargs.ray_init.num_cpus == 16
    assert cluster.address_of(config) == address
    assert cluster.check_cluster(config, address) is True
    # Ray refuses both of one who joins.
    assert not {"num_cpus", "num_gpus"} & set(config.ray_kwargs.ray_init)


def test_a_package_missing_on_a_node_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "NEEDED", ("verl", "no_such_package"))
    with pytest.raises(UsageError, match=r"node 127.0.0.1 lacks the packages no_such_package; install"):
        cluster.check_cluster(load_recipe("quickstart_cpu"), address)


def test_nobody_listens_there() -> None:
    with pytest.raises(UsageError, match=r"address=127.0.0.1:1: no Ray cluster there \([^;]*\)$"):
        cluster.check_cluster(load_recipe("quickstart_cpu"), "127.0.0.1:1")


@pytest.mark.parametrize(
    ("mode", "mend"), [(None, "; if its head asks for a token, set RAY_AUTH_MODE=token"), ("token", "")]
)
def test_a_head_that_turns_away(monkeypatch: pytest.MonkeyPatch, mode: str | None, mend: str) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)

    def turned_away(**_: object) -> None:
        raise ConnectionError("Could not find any running\nRay instance")

    monkeypatch.setattr("ray.init", turned_away)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        reason = r"\(Could not find any running Ray instance\)"
        with pytest.raises(UsageError, match=rf"address={address}: no Ray cluster there {reason}{mend}$"):
            cluster.check_cluster(load_recipe("quickstart_cpu"), address)


def test_the_address_of_ray_s_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_recipe("quickstart_cpu")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster.address_of(config) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.address_of(config) == "10.0.0.1:6379"


@pytest.mark.parametrize(
    ("device", "wanted", "size", "most"),
    # One node with 2 CPUs, of which one is left for reading, and a GPU.
    [("cuda", 2, 1, 1), ("cuda", None, 2, 0), ("cpu", 2, 1, 1), ("cpu", None, 2, 0)],
)
def test_more_replicas_than_there_is_room_for(
    address: str, device: str, wanted: int | None, size: int, most: int
) -> None:
    config = load_recipe("quickstart_cpu", [f"trainer.device={device}"])
    config.ray_kwargs.ray_init = {"address": address}
    with (
        cluster.connected(config),
        pytest.raises(UsageError, match=rf"teach.replicas={wanted}: must be at most {most}:"),
    ):
        cluster.check_replicas(config, "teach.replicas", wanted, size)


@pytest.mark.parametrize(("device", "wanted"), [("cuda", None), ("cuda", 1), ("cpu", None), ("cpu", 1)])
def test_replicas_that_fit(address: str, device: str, wanted: int | None) -> None:
    config = load_recipe("quickstart_cpu", [f"trainer.device={device}"])
    config.ray_kwargs.ray_init = {"address": address}
    with cluster.connected(config):
        assert cluster.check_replicas(config, "teach.replicas", wanted, 1) == 1
