"""Reinforcement learning for Generative Self-Refinement (arXiv 2509.00084) on stock verl."""

__version__ = "0.1.0"
