"""A child process ends with its parent, even by SIGKILL."""

import subprocess
import sys

import psutil

PARENT = """
import subprocess, sys
from gsr_rl.child import end_with_parent
child = subprocess.Popen(["sleep", "600"], start_new_session=True, preexec_fn=end_with_parent)
print(child.pid, flush=True)
child.wait()
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=60)
    for process in alive:
        process.kill()
    assert gone == [child]
