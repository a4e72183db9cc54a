"""Which part may import which, and how long a file may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gsr_rl", "rewards", "data_prep")
HEAVY = ("torch", "verl", "ray", "vllm", "transformers", "tensordict", "transfer_queue")
PURE = (
    "errors", "files", "episode", "prompts", "voting", "estimators", "intervals", "metrics", "rivals", "evaluation",
    "foreign", "config", "recipes",
)  # fmt: skip


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, lazy: bool = True) -> Iterator[str]:
    """Full names of the modules that a file imports; without `lazy`, those alone that importing it imports."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(ast.iter_child_nodes(node))


def reaches(start: Path, lazy: bool = False) -> set[str]:
    """What importing a file imports, through our own modules."""
    paths = {module_name(path): path for path in sources()}
    seen: set[str] = set()
    pending = [start]
    while pending:
        for name in imports(pending.pop(), lazy):
            if name in seen:
                continue
            seen.add(name)
            pending += [paths[one] for one in (name, name.rpartition(".")[0]) if one in paths]
    return seen


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sorted((ROOT / "rewards").rglob("*.py")), ids=module_name)
def test_rewards_import_nothing_of_ours(path: Path) -> None:
    assert [name for name in imports(path) if within(name, "gsr_rl", "data_prep", *HEAVY)] == []


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_stay_pure(name: str) -> None:
    forbidden = (*HEAVY, "gsr_rl.verl_plugin", "gsr_rl.cpu", "gsr_rl.stages", "data_prep", "omegaconf", "hydra")
    everything = reaches(ROOT / "gsr_rl" / f"{name}.py", lazy=True)
    assert sorted(one for one in everything if within(one, *forbidden)) == []


def test_data_preparation_needs_none_of_the_training_stack() -> None:
    for path in (ROOT / "data_prep").rglob("*.py"):
        ours = [name for name in imports(path) if within(name, "gsr_rl")]
        assert all(within(name, *(f"gsr_rl.{pure}" for pure in PURE)) for name in ours), path
        assert [name for name in imports(path, lazy=False) if within(name, *HEAVY)] == [], path


def test_verl_is_imported_in_two_packages_alone() -> None:
    """And lazily where a stage or a check asks verl's own functions."""
    for path in sources():
        name = module_name(path)
        if within(name, "gsr_rl.verl_plugin", "gsr_rl.cpu"):
            continue
        assert [one for one in imports(path, lazy=False) if within(one, "verl")] == [], path
        if not within(name, "gsr_rl.stages", "gsr_rl.preflight"):
            assert [one for one in imports(path) if within(one, "verl")] == [], path


def test_reports_and_tools_need_none_of_the_training_stack() -> None:
    for path in [*(ROOT / "gsr_rl" / "report").rglob("*.py"), *(ROOT / "gsr_rl" / "tools").rglob("*.py")]:
        assert sorted(one for one in reaches(path) if within(one, *HEAVY)) == [], path
        stages = {one for one in imports(path) if within(one, "gsr_rl.stages")}
        assert all(within(one, "gsr_rl.stages.layout", "gsr_rl.stages.logs") for one in stages), path


def test_the_cpu_platform_and_the_plugin_do_not_know_each_other() -> None:
    for folder, other in (("cpu", "gsr_rl.verl_plugin"), ("verl_plugin", "gsr_rl.cpu")):
        for path in (ROOT / "gsr_rl" / folder).rglob("*.py"):
            assert [name for name in imports(path) if within(name, other, "gsr_rl.stages")] == [], path


def test_importing_the_command_line_or_composing_a_recipe_imports_nothing_heavy() -> None:
    for name in ("cli", "compose"):
        assert [one for one in reaches(ROOT / "gsr_rl" / f"{name}.py") if within(one, *HEAVY)] == []


def test_help_answers_without_the_training_stack() -> None:
    code = (
        "import sys; from gsr_rl.cli import main\n"
        "assert main(['--help']) == 0\n"
        f"loaded = set({HEAVY!r}) & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "gsr-rl <stage> recipe=<name>" in done.stdout
    assert "quickstart_cpu" in done.stdout


def test_files_can_be_read_in_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines for path in sources() if (lines := len(path.read_text().split("\n"))) > 320
    }
    assert long == {}
