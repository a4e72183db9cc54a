"""Data preparation: problem sets and puzzles, deduplication, decontamination, and training rows."""
