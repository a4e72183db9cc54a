"""Verifiable rewards for mathematics: extract a final answer, compare it with a gold answer, give 0 or 1.

Stands alone: imports neither gsr_rl nor verl.
"""
