"""A language model and how it is reached."""

from typing import Any

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.served import Served

KEY = "sk-very-secret"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"urls": ["localhost:8000"]}, "teach.llm.urls=localhost:8000: must be base URLs such as http://host:8000/v1"),
        ({"urls": ["http://"]}, "teach.llm.urls=http://: must be base URLs such as http://host:8000/v1"),
        ({"urls": [f"http://me:{KEY}@host/v1"]}, "teach.llm.urls=...: must be without user and password; put the key"),
        ({"urls": [f"http://{KEY}@host/v1"]}, "teach.llm.urls=...: must be without user and password; put the key"),
        ({"model": None, "urls": ["http://a/v1"]}, "teach.llm.model=None: must be set beside urls"),
        ({"model": "", "urls": ["http://a/v1"]}, "teach.llm.model=: must be set beside urls"),
        ({"concurrency": 0}, "teach.llm.concurrency=0: must be from 1 to 1000"),
        ({"timeout_s": 0.0}, "teach.llm.timeout_s=0.0: must be above 0"),
        ({"price_out": -1.0}, "teach.llm.price_out=-1.0: must be at least 0"),
    ],
)
def test_settings_that_cannot_be_used(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as raised:
        Served.of({"urls": ["http://a/v1"], "model": "toy", **changes}, "teach.llm")
    assert str(raised.value).startswith(line) and KEY not in str(raised.value)


def test_a_model_without_urls_runs_here() -> None:
    assert Served.of({"model": "folder"}).urls == []


def test_the_key_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(api_key_env="TEACH_TEST_KEY")
    monkeypatch.delenv("TEACH_TEST_KEY", raising=False)
    assert served.api_key == ""
    monkeypatch.setenv("TEACH_TEST_KEY", f" {KEY}\n")
    assert served.api_key == KEY
    assert KEY not in repr(served) + str(served.model_dump())


def test_cost() -> None:
    # 2 million tokens in at 0.5 dollars a million and 100,000 out at 20.
    assert Served(price_in=0.5, price_out=20.0).cost(2_000_000, 100_000) == pytest.approx(3.0)
    assert Served(price_in=0.5).cost(1, 1) is None
