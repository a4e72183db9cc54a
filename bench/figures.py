"""A bench's figures: printed, and kept where `make bench` collects them."""

import json
import os


def figure(name: str, value: float, unit: str) -> None:
    """Print a figure, and add it to the file that `bench/run.py` names."""
    print(f"{name}: {value:.3g} {unit}", flush=True)
    if path := os.environ.get("GSR_RL_FIGURES"):
        with open(path, "a") as file:
            file.write(json.dumps({"name": name, "value": value, "unit": unit}) + "\n")
