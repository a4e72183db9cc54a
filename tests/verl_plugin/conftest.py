"""A real Ray: of one node with a job on it for each test, or with a TransferQueue."""

from collections.abc import Iterator

import pytest
import ray
import transfer_queue as tq
from omegaconf import OmegaConf
from ray._private import ray_constants
from ray.cluster_utils import Cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    node = {"num_cpus": 16, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise Ray takes 127.0.0.1 for another name of this machine's address on its network.
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        head = Cluster(initialize_head=True, head_node_args=node)
        yield head.address
        head.shutdown()


@pytest.fixture
def job(address: str) -> Iterator[None]:
    ray.init(address=address, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def transfer_queue() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
        yield
        tq.close()
    finally:
        ray.shutdown()
