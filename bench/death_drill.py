"""A process of a GRPO training is killed with SIGKILL in the middle of a step: how soon does the run end, saying what?

    python bench/death_drill.py FOLDER

A tiny model with random weights trains on the CPU. vLLM's engine, a reward worker and a storage unit of the queue are
killed, one a start, and the same command is started again each time. Exit code 1 if a start took longer than 30 s to
end, if its last line does not name what died and the step that the same command goes on from, if anything of it was
left a minute later, or if the last start did not make each of the remaining steps once.
"""

import re
import sys
import time
import uuid
from pathlib import Path

from chain_kill import LEFT_S, of_start, reach, start

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from tiny import save_tiny_model

from gsr_rl.stages.logs import read_logs

ENDS_IN_S = 30.0
WAIT_S = 120.0
STEPS = 8
# What is killed, words in its process's title, and what the last line has to say.
VICTIMS = (
    ("vLLM's engine", "VLLM::EngineCore", "vLLM's engine below vllm_server_0_0 has died"),
    ("reward worker", "RewardLoopWorker", "reward_loop_worker_0 (RewardLoopWorker, process"),
    ("storage unit", "SimpleStorageUnit", "TransferQueueStorageUnit#"),
)
RECIPE = """
defaults: [/base, /cpu, _self_]
base_model: {folder}/model
run_dir: {folder}/run
skip_stages: [warmup, teach, sft, eval, report]
problems: {{source: pair_sums, train: 16, dev: 4, held_out: 4}}
gsr:
  k: 3
  candidate_tokens: 12
  refinement_tokens: 16
  sync_guard: {{min_correlation: 0.9}}  # random weights
data: {{train_batch_size: 4, max_prompt_length: 256, max_response_length: 16}}
actor_rollout_ref:
  actor: {{ppo_mini_batch_size: 2, ppo_max_token_len_per_gpu: 2048}}
  rollout: {{prompt_length: 900, response_length: 16, max_num_seqs: 16}}
transfer_queue: {{backend: {{SimpleStorage: {{num_data_storage_units: 2}}}}}}
trainer: {{logger: [console, file], total_training_steps: {steps}, total_epochs: 9, save_freq: 1}}
"""


def kill_one(mark: str, title: str) -> None:
    """Kill the process of the start `mark` with `title` in its title."""
    victim = next(process for process in of_start(mark) if title in " ".join(process.cmdline()))
    victim.kill()


def drill(root: Path, step: int, title: str, said: str) -> tuple[str, list[str]]:
    """A start whose victim dies in the step after `step`; returns what came of it, and the faults."""
    mark, log = uuid.uuid4().hex, root / f"killed-after-step-{step}.log"
    with log.open("w") as output:
        process = start([f"recipe={root}/tiny"], mark, output)
        reach(process, log, root / "tiny", rf"step:{step} ")
        kill_one(mark, title)
        killed = time.monotonic()
        while process.poll() is None and time.monotonic() - killed < WAIT_S:
            time.sleep(0.1)
        took = time.monotonic() - killed
        process.kill()
    while (left := of_start(mark)) and time.monotonic() - killed < took + LEFT_S:
        time.sleep(0.2)
    gone = time.monotonic() - killed
    last = log.read_text(errors="replace").strip().splitlines()[-1]
    faults = [f"it took {took:.1f} s"] if took > ENDS_IN_S else []
    faults += [] if process.wait() == 1 else [f"exit code {process.returncode}"]
    faults += [] if said in last and re.search(r"from step \d+$", last) else ["the last line"]
    faults += [f"left: {[process.name() for process in left]}"] if left else []
    return f"ended after {took:.1f} s, all of it after {gone:.1f} s: {last}", faults


def main() -> int:
    root = Path(sys.argv[1]).resolve()
    (root / "tiny").mkdir(parents=True)
    save_tiny_model(root / "model")
    (root / "tiny" / "recipe.yaml").write_text(RECIPE.format(folder=root, steps=STEPS))
    bad: list[str] = []
    for number, (victim, title, said) in enumerate(VICTIMS):
        result, faults = drill(root, 1 + 2 * number, title, said)
        bad += [f"{victim}: {fault}" for fault in faults]
        print(f"{victim}: {result}", flush=True)
    with (root / "last-start.log").open("w") as output:
        code = start([f"recipe={root}/tiny"], uuid.uuid4().hex, output).wait()
    steps = [row["step"] for row in read_logs(root / "run" / "train", "train") if row["step"] > 0]
    bad += [] if code == 0 else [f"the last start ended with exit code {code}"]
    bad += [] if steps == list(range(1, STEPS + 1)) else [f"steps {steps}"]
    print("\n".join(bad) or f"each of {STEPS} steps once, and a model at the end")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
