"""Asking language models for responses, whoever serves them."""
