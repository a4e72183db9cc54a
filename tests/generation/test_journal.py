"""The journal: rows that survive what ends a run."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.generation.journal import Appender, Journal


def append(journal: Journal, *rows: tuple[str, str]) -> None:
    journal.write([(key, {"text": text}) for key, text in rows])
    journal.sync()


def test_rows_read_back_by_key_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    with Journal(path) as journal:
        append(journal, ("b", "two\nlines\u2028and \ud800 a lone surrogate"), ("a", ""))
        append(journal, ("c", "x"), ("a", "a second row of one key does not count"))
        assert journal["b"] == {"key": "b", "text": "two\nlines\u2028and \ud800 a lone surrogate"}
    with Journal(path) as journal:
        assert ("a" in journal, "z" in journal, len(journal)) == (True, False, 3)
        assert [(row["key"], row["text"][:3]) for row in journal.rows()] == [("b", "two"), ("a", ""), ("c", "x")]
        with pytest.raises(KeyError):
            journal["z"]


@pytest.mark.parametrize("tail", [b'{"key": "c", "text": "hal', b'{"key": "c"', b"\0\0\0\0", b"\xff\n", b'{"no": 1}\n'])
def test_a_torn_last_line_is_dropped(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(path) as journal:
        append(journal, ("a", "1"), ("b", "2"))
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    with Journal(path) as journal:
        assert len(journal) == 2
        assert path.read_bytes() == whole
        append(journal, ("c", "3"))
    with Journal(path) as journal:
        assert [row["text"] for row in journal.rows()] == ["1", "2", "3"]


def test_a_broken_line_before_the_last_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"key": "a"}\nnonsense\n{"key": "b"}\n')
    with pytest.raises(UsageError) as error:
        Journal(path)
    assert str(error.value) == f"{path}:2: not a row of a journal; remove the line"
    path.write_bytes(b'{"key": "a"}\n{"key": "b"}\n')
    with Journal(path) as journal:  # the lock was let go
        assert len(journal) == 2


def test_a_journal_without_rows_leaves_no_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "answers.jsonl"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["answers.lock"]


# --- one process at a time --------------------------------------------------------------------------------------------

HOLDER = (
    "import sys, time; from gsr_rl.generation.journal import Journal; j = Journal(sys.argv[1]); print(1, flush=True); "
)


def hold(path: Path, then: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", HOLDER + then, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"1\n"
    return process


def test_a_second_process_is_refused_until_the_first_has_ended_in_any_way(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    holder = hold(path, "time.sleep(600)")
    with pytest.raises(UsageError) as error:
        Journal(path)
    assert f"{tmp_path}/answers.lock: process {holder.pid} is at work here" in str(error.value)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    Journal(path).__exit__()


def test_a_link_to_a_journal_has_its_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("answers.jsonl")
    with Journal(tmp_path / "answers.jsonl") as journal:
        append(journal, ("a", "1"))
        with pytest.raises(UsageError, match=r"answers.lock: process \d+ is at work here"):
            Journal(tmp_path / "link")
    with Journal(tmp_path / "link") as journal:
        assert len(journal) == 1


def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    holder = hold(path, "import os; os.fork() or print(os.getpid(), flush=True); time.sleep(600)")
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()
        with Journal(path) as journal:
            assert len(journal) == 0
    finally:
        os.kill(child, signal.SIGKILL)


# --- a disk that is full ----------------------------------------------------------------------------------------------


def fill(path: Path, limit: int) -> list[Any]:
    """Append until the system takes no more: a limit on the size of files has the effect of a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged: list[str] = []

    async def append_row(appender: Appender, number: int) -> None:
        await appender.append(str(number), {"text": "x" * 100})
        acknowledged.append(str(number))

    async def everything(journal: Journal) -> list[str]:
        appender = Appender(journal)
        results = await asyncio.gather(*(append_row(appender, n) for n in range(5)))
        results = await asyncio.gather(*(append_row(appender, n) for n in range(5, 50)), return_exceptions=True)
        return sorted({str(result) for result in results if result is not None})

    with Journal(path) as journal:
        errors = asyncio.run(everything(journal))
        return [acknowledged, errors, len(journal), sorted(row["key"] for row in journal.rows())]


def test_a_full_disk_is_one_line_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    # In a process of its own, which the limit is for.
    process = subprocess.run([sys.executable, __file__, path, "2000"], stdout=subprocess.PIPE, check=True, timeout=60)
    acknowledged, errors, n, keys = json.loads(process.stdout)
    # A row is 100 characters and some 25 around them. Of rows that arrive together the first is written at once. The
    # others follow as one batch, which is written whole or not at all: 6 rows fit, 50 do not.
    assert acknowledged == ["0", "1", "2", "3", "4", "5"]
    assert errors == [f"{path}: cannot be written (File too large); make room; the same command resumes"]
    assert (n, keys) == (6, acknowledged)
    with Journal(path) as journal:  # and there is room again
        append(journal, ("6", "x"))
        assert len(journal) == 7
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["0", "1", "2", "3", "4", "5", "6"]


def test_rows_that_arrive_together_share_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd))[1])

    async def everything(journal: Journal) -> None:
        appender = Appender(journal)
        await asyncio.gather(*(appender.append(str(n), {}) for n in range(100)))

    with Journal(tmp_path / "answers.jsonl") as journal:
        asyncio.run(everything(journal))
        assert len(journal) == 100
    assert 1 <= len(synced) <= 2


if __name__ == "__main__":
    print(json.dumps(fill(Path(sys.argv[1]), int(sys.argv[2]))))
