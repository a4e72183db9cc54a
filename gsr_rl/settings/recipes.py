"""Where the recipes are."""

from pathlib import Path

RECIPE_FILE = "recipe.yaml"


def recipes_dir() -> Path:
    """The folder of the recipes: beside the package in a checkout, inside it where it was installed."""
    package = Path(__file__).parent.parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.parent.name for path in recipes_dir().glob(f"*/{RECIPE_FILE}"))
