"""Distillation from a server that fails 30 % of its calls: is anything lost or doubled?

    python bench/teach_faults.py [--problems 2000] [--faults 0.3] [--concurrency 64]

The server fails by 500s, hanging (until the client's limit of a second), cut connections, malformed and empty bodies,
in equal shares. The rows are compared with those of a server that never fails. Exit code 1 if they differ.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from teach_work import K, work

from data_prep.rows import read_sft_rows

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from scripted_server import ScriptedServer, faulty, times_asked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--faults", type=float, default=0.3)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    n, wanted = options.problems, options.problems * (K + 2)
    with tempfile.TemporaryDirectory() as folder:
        with ScriptedServer() as sound:
            whole = work([sound.url], Path(folder) / "sound", n, options.concurrency)
        started = time.monotonic()
        with ScriptedServer(faulty(options.faults)) as server:
            done = work([server.url], Path(folder) / "faulty", n, options.concurrency, timeout_s=1.0)
        seconds = time.monotonic() - started
        kinds = Counter(row.kind for row in read_sft_rows(done.rows))
        same = done.rows.read_bytes() == whole.rows.read_bytes()
    different = len(times_asked(server.bodies))
    print(f"{n} problems x ({K} candidates + 2 targets) = {wanted} answers, {options.faults:.0%} of the calls fail")
    print(f"answers in the journal  {done.answers}, of {different} different requests")
    print(f"rows                    {kinds['direct']} direct, {kinds['refine']} refinement")
    print(f"requests that were sent {server.seen}, {server.seen / wanted:.2f} for each answer, in {seconds:.0f} s")
    print(f"same rows in the same order as from a server that never fails: {'yes' if same else 'NO'}")
    right = same and done.answers == different == wanted and kinds["direct"] == kinds["refine"] == n
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
