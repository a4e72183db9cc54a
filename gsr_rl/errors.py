"""The one exception for the user's mistakes, and the check that raises it."""


class UsageError(Exception):
    """Bad input, in one line: which file, key or row, what is wrong, and how to fix it. The CLI exits with 2."""


def require(holds: bool, key: str, value: object, hint: str) -> None:
    """Raise a UsageError of one line, `key=value: must be <hint>`, unless `holds`."""
    if not holds:
        raise UsageError(f"{key}={value}: must be {hint}")
