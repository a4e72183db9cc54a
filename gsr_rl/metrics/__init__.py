"""Statistics of episodes: votes, pass@k, maj@K, the Refinement Gap and their intervals; and what training logs.

Names of arrays and lists end in their shape, a letter for each axis. The letters mean the same in all of `gsr_rl`:

    P  problems of a dataset
    R  rows of a dataset: its episodes, of which a problem that is repeated has several
    K  responses of one set: its candidates, or in `estimators` those of a pool
    C  columns
    B  resamples of the bootstrap
"""
