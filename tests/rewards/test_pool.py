"""rewards.pool: no worker outlives its limits, replacement under load; threads, asyncio, forks and Ray actors."""

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rewards.answers import compare, parseable
from rewards.math_reward import compute_score, compute_score_async
from rewards.pool import Pool

# The cosine of a number of 10^8 digits. No guard of `rewards.limits` detects it.
ENDLESS = (r"\cos((3000!)^{9998})", "7")
SURDS = [(rf"\frac{{\sqrt{{{n}}}}}{{{n}}}", rf"\frac{{1}}{{\sqrt{{{n}}}}}") for n in range(101, 121)]


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(size=2, cpu_seconds=1.0, wall_seconds=120.0)
    yield pool
    pool.close()


def test_judgements(pool: Pool) -> None:
    assert pool.judge(*SURDS[0]) == "same"
    assert pool.judge(r"\sqrt{2}", r"\sqrt{3}") == "different"
    assert pool.judge(r"\frac{1}", "1") == "unreadable"
    assert (pool.judge("x+1", ""), pool.judge(r"\frac{1}", "")) == ("same", "unreadable")
    assert (pool.questions, pool.restarts) == (5, 0)


def test_a_worker_past_its_processor_time_is_replaced(pool: Pool) -> None:
    assert pool.judge(*ENDLESS) == "timeout"
    assert pool.judge(*SURDS[0]) == "same"
    assert (pool.questions, pool.restarts) == (2, 1)
    assert (pool.new_restarts(), pool.new_restarts()) == (1, 0)


def test_a_worker_past_its_deadline_is_replaced() -> None:
    pool = Pool(size=1, cpu_seconds=3600.0)
    try:
        pool.warm_up()
        pool.wall_seconds = pool.patience = 0.5
        assert pool.judge(*ENDLESS) == "timeout"
        pool.wall_seconds = 120.0
        assert pool.judge(*SURDS[0]) == "same"
        assert (pool.restarts, pool.late) == (2, 1)
        assert (pool.new_late(), pool.new_late()) == (1, 0)
    finally:
        pool.close()


def test_a_busy_machine_is_no_verdict(pool: Pool) -> None:
    """A worker that is stopped is late. The comparison is tried again alone, and another worker answers."""
    pool.warm_up()
    os.kill(pool._idle[0]._pid, signal.SIGSTOP)
    pool.wall_seconds = 1.0
    assert pool.judge(*SURDS[0]) == "same"
    assert (pool.questions, pool.late) == (2, 1)


def test_late_comparisons_of_many_threads_are_tried_alone() -> None:
    pool = Pool(size=2, wall_seconds=0.0, patience=120.0)
    try:
        with ThreadPoolExecutor(6) as threads:
            judgements = list(threads.map(lambda pair: pool.judge(*pair), SURDS[:8]))
        assert judgements == ["same"] * 8
        assert pool.late > 0
    finally:
        pool.close()


def test_the_default_is_patient() -> None:
    pool = Pool()
    assert (pool.wall_seconds, pool.patience) == (8.0, 120.0)


def test_a_timeout_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["timeout", "same", "timeout", "same"])
    monkeypatch.setattr("rewards.answers.shared.judge", lambda a, b: next(answers))
    pair = (r"\sqrt{10007}", r"\frac{10007}{\sqrt{10007}}")
    assert [compare(*pair), compare(*pair), compare(*pair)] == ["timeout", "same", "same"]
    formula = r"\int_0^1 x^{107} dx"
    assert [parseable(formula), parseable(formula), parseable(formula)] == [False, True, True]


def test_a_worker_past_its_memory_is_replaced() -> None:
    pool = Pool(size=1, cpu_seconds=3600.0, wall_seconds=120.0, memory_bytes=1 << 20)
    try:
        assert pool.judge("1" * (8 << 20), "1") == "timeout"
        pool.limits = (3600.0, 1 << 30)
        assert pool.judge(*SURDS[0]) == "same"
        assert pool.restarts == 1
    finally:
        pool.close()


def test_threads_get_right_answers_while_others_time_out(pool: Pool) -> None:
    work = [*SURDS[:4], ENDLESS, *SURDS[4:12], ENDLESS, *SURDS[12:]]
    with ThreadPoolExecutor(6) as threads:
        judgements = list(threads.map(lambda pair: pool.judge(*pair), work))
    assert judgements == ["timeout" if pair == ENDLESS else "same" for pair in work]
    assert (pool.questions, pool.restarts) == (len(work), 2)


def test_a_fork_has_a_pool_of_its_own(pool: Pool) -> None:
    pool.warm_up()
    child = os.fork()
    if child == 0:
        pool.forget()  # what os.register_at_fork does for the shared pool
        os._exit(0 if pool.judge(*SURDS[0]) == "same" and pool.close() is None else 1)
    assert pool.judge(*SURDS[1]) == "same"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.judge(*SURDS[2]) == "same"


def test_closing_ends_all_processes(pool: Pool) -> None:
    pool.warm_up()
    helper = pool._helper
    assert helper is not None
    pool.close()
    assert not helper.is_alive()
    assert pool.judge(*SURDS[0]) == "same"  # and it starts again


def score(n: int) -> float:
    """The score of a response for n. Each n has its own texts, so that no cache answers; every third is wrong."""
    response = rf"\boxed{{\sqrt{{{4 * n}}}}}"
    return compute_score("any", response, rf"2\sqrt{{{n + n % 3 // 2}}}")["score"]


def test_scores_from_threads_and_asyncio() -> None:
    numbers = range(2_003, 2_015)
    expected = [float(n % 3 != 2) for n in numbers]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(score, numbers)) == expected

    async def gather() -> list[float]:
        calls = [
            compute_score_async("any", rf"\boxed{{\sqrt{{{9 * n}}}}}", rf"3\sqrt{{{n + n % 3 // 2}}}") for n in numbers
        ]
        return [result["score"] for result in await asyncio.gather(*calls)]

    assert asyncio.run(gather()) == expected


def test_scores_in_a_ray_actor() -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    try:

        class Judge:  # pickled by value, so it must not use names of this module
            def score(self, n: int) -> list[float]:
                from concurrent.futures import ThreadPoolExecutor

                from rewards.math_reward import compute_score

                def score_of(k: int) -> float:
                    return compute_score("any", rf"\boxed{{\sqrt{{{25 * n}}}}}", rf"{k}\sqrt{{{n}}}")["score"]

                with ThreadPoolExecutor(1) as thread:
                    return [score_of(5), score_of(6), *thread.map(score_of, [5, 6])]

        actor = ray.remote(Judge).remote()
        assert ray.get(actor.score.remote(3_001), timeout=300) == [1.0, 0.0, 1.0, 0.0]
    finally:
        ray.shutdown()
