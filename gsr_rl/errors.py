"""The one exception for mistakes of the user's: a file, key or row that cannot be used."""


class UsageError(Exception):
    """Bad input, in one line: which file, key or row, what is wrong with it, and the mend. Exit code 2 of the CLI."""
