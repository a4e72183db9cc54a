"""Which folder may import which, and how long files and functions may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gsr_rl", "rewards", "data_prep")
# From the top down: a package imports from lower floors alone, and not from its neighbours.
FLOORS = (
    ("gsr_rl.cli",),
    ("gsr_rl.report", "gsr_rl.tools"),
    ("gsr_rl.stages",),
    ("gsr_rl.generation", "gsr_rl.verl_plugin", "gsr_rl.cpu"),
    ("gsr_rl.settings",),
    ("data_prep",),
    ("gsr_rl.metrics",),
    ("gsr_rl",),  # the modules that lie in the package itself
    ("rewards",),
)
HEAVY = ("torch", "verl", "ray", "vllm", "transformers", "tensordict", "transfer_queue")
CONFIGURATION = ("omegaconf", "hydra")
# What a folder imports when it is imported, and what its functions import later.
LIGHT = ("gsr_rl.settings", "gsr_rl.metrics", "data_prep", "rewards", "gsr_rl.report", "gsr_rl.tools")
PURE = (
    "gsr_rl.metrics",
    "rewards",
    "gsr_rl.errors",
    "gsr_rl.files",
    "gsr_rl.episode",
    "gsr_rl.prompts",
    "gsr_rl.section",
)
# Who handles Hydra's configurations, and by which imports. Everything else takes the typed `Settings`, or a part.
HYDRA = {
    "gsr_rl.settings.compose": ("hydra", "omegaconf"),
    # verl hands its configuration to the classes that extend it; its own checks instantiate it by Hydra.
    "gsr_rl.verl_plugin": ("omegaconf", "hydra.errors", "hydra.utils"),
    "gsr_rl.report.runs": ("omegaconf.OmegaConf",),  # reads the config.yaml of a finished run
}
# verl is imported here; in the stages by functions alone.
VERL = ("gsr_rl.verl_plugin", "gsr_rl.cpu")


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def modules(*packages: str) -> list[Path]:
    return [path for path in sources() if within(module_name(path), *packages)]


def imports(path: Path, lazy: bool = True) -> Iterator[str]:
    """Full names of the modules that a file imports; without `lazy`, only what importing it imports."""
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
            pending += [paths[module] for module in (name, name.rpartition(".")[0]) if module in paths]
    return seen


def floor(name: str) -> tuple[int, str]:
    """The number of a module's floor, and its package there."""
    rooms = [(number, package) for number, packages in enumerate(FLOORS) for package in packages]
    return max((room for room in rooms if within(name, room[1])), key=lambda room: len(room[1]))


def test_every_import_runs_down() -> None:
    ours = {module_name(path) for path in sources()}
    up: list[str] = []
    for path in sources():
        here, package = floor(module_name(path))
        for name in imports(path):
            target = name if name in ours else name.rpartition(".")[0]
            if target in ours and target != "gsr_rl":
                there, other = floor(target)
                if there < here or (there == here and other != package):
                    up.append(f"{module_name(path)} imports {name}")
    assert up == []


@pytest.mark.parametrize("package", PURE)
def test_pure_folders_import_no_framework(package: str) -> None:
    for path in modules(package):
        found = [name for name in reaches(path, lazy=True) if within(name, *HEAVY, *CONFIGURATION, "data_prep")]
        assert sorted(found) == [], path


@pytest.mark.parametrize("package", LIGHT)
def test_light_folders_start_without_the_training_stack(package: str) -> None:
    for path in modules(package):
        assert sorted(name for name in reaches(path) if within(name, *HEAVY)) == [], path


def test_rewards_import_nothing_of_ours() -> None:
    for path in modules("rewards"):
        assert [name for name in imports(path) if within(name, "gsr_rl", "data_prep", *HEAVY)] == [], path


def test_verl_is_imported_in_two_packages_alone() -> None:
    """The stages import it inside functions: they start verl, and ask its own checks."""
    for path in sources():
        name = module_name(path)
        if not within(name, *VERL):
            lazily = within(name, "gsr_rl.stages")
            assert [module for module in imports(path, lazy=not lazily) if within(module, "verl")] == [], path


def test_hydra_s_configurations_stay_where_they_are_composed_and_where_verl_is() -> None:
    for path in sources():
        allowed = [name for module, names in HYDRA.items() if within(module_name(path), module) for name in names]
        found = [name for name in imports(path) if within(name, *CONFIGURATION) and not within(name, *allowed)]
        assert found == [], path


def test_settings_are_built_once() -> None:
    """The command line builds them, and the chain does for each variant. Only one module opens what Hydra composed."""
    load = "gsr_rl.settings.compose.load_settings"
    callers = {module_name(path) for path in sources() if load in imports(path)}
    assert callers == {"gsr_rl.cli", "gsr_rl.stages.chain"}
    opened = {
        module_name(path)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "_composed"
    }
    assert opened == {"gsr_rl.settings.compose"}


def test_importing_the_command_line_or_composing_a_recipe_imports_nothing_heavy() -> None:
    for name in ("cli", "settings/compose"):
        assert [module for module in reaches(ROOT / "gsr_rl" / f"{name}.py") if within(module, *HEAVY)] == []


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
    lengths = {module_name(path): len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > 300} == {}


def test_functions_fit_a_screen() -> None:
    long: dict[str, int] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 60:
                    long[f"{module_name(path)}.{node.name}"] = lines
    assert long == {}


def test_the_tree_in_the_architecture_page_names_every_file() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    tree = page.split("### Every file in a line")[1].split("```")[1]
    missing = [
        str(path.relative_to(ROOT)) for path in sources() if path.name != "__init__.py" and path.name not in tree
    ]
    assert missing == []
