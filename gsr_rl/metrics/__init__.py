"""What is worked out of episodes: votes, pass@k, maj@K, the Refinement Gap, their intervals, and names in the logs."""
