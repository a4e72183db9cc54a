"""gsr_rl.files: JSON Lines with errors that name the line, files written whole or not at all."""

import json
from pathlib import Path

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.files import read_jsonl, write_json


def write(folder: Path, content: bytes) -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        (b'{"n": 1}\n{"n": 2}\n', [1, 2]),
        (b'{"n": 1}\n{"n": 2}', [1, 2]),  # the last line has no end
        (b'{"n": 1}\n\n \t\n{"n": 2}\n\n', [1, 4]),  # blank lines
        (b'\xef\xbb\xbf{"n": 1}\n{"n": 2}\n', [1, 2]),  # a byte order mark
        (b'\xef\xbb\xbf\n{"n": 1}\n{"n": 2}\n', [2, 3]),
        (b'{"n": 1}\r\n\r\n{"n": 2}\r\n', [1, 3]),  # as on Windows
        (b'{"n": 1}\r\n{"n": 2}\r\n\r\n', [1, 2]),  # with an empty last line
        (b'{"n": 1}\n{"n": 2}\n  \t ', [1, 2]),  # with a last line of blanks
        (b'{"n": 1}\n\xef\xbb\xbf{"n": 2}\n\xef\xbb\xbf\n', [1, 2]),  # files with byte order marks, joined
        (b'{"n": 1}\r\n{"n": 2}\r\n\x1a', [1, 2]),  # with the end of a file as on DOS
    ],
)
def test_rows_with_their_places(tmp_path: Path, content: bytes, numbers: list[int]) -> None:
    path = write(tmp_path, content)
    assert list(read_jsonl(path)) == [(f"{path}:{number}", {"n": n}) for n, number in enumerate(numbers, start=1)]


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    rows = [{"text": "a\u2028b\u0085c\x0bd"}, {"text": "e"}]
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    assert [row for _, row in read_jsonl(write(tmp_path, content))] == rows


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert list(read_jsonl(write(tmp_path, b""))) == []


@pytest.mark.parametrize(("line", "message"), [(b"{", "not JSON"), (b"\xff", "not JSON"), (b"[1]", "not an object")])
def test_bad_lines_are_named(tmp_path: Path, line: bytes, message: str) -> None:
    rows = read_jsonl(write(tmp_path, b'{"n": 1}\n\n' + line + b"\n"))
    assert next(rows)[1] == {"n": 1}  # the rows before it are there
    with pytest.raises(UsageError, match=rf"rows\.jsonl:3: {message}.*; write one object per line"):
        next(rows)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.jsonl: No such file .*; give a JSON Lines file"):
        list(read_jsonl(tmp_path / "nowhere.jsonl"))


def test_a_last_line_that_is_still_written(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"n": 1}\n{"n": 2}')
    assert [row["n"] for _, row in read_jsonl(path, still_written=True)] == [1]
    path = write(tmp_path, b'{"n": 1}\n{"n"')
    assert [row["n"] for _, row in read_jsonl(path, still_written=True)] == [1]
    path = write(tmp_path, b'{"n"\n{"n": 2}\n')
    with pytest.raises(UsageError, match=r"rows\.jsonl:1: not JSON"):
        list(read_jsonl(path, still_written=True))


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "value.json"
    write_json(path, {"a": ["ü", None]})
    assert path.read_bytes() == b'{\n "a": [\n  "\\u00fc",\n  null\n ]\n}\n'
    write_json(path, {"a": 1}, indent=2)
    assert path.read_bytes() == b'{\n  "a": 1\n}\n'
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["value.json"]
