"""The player: a tape that answers from a recording and from nothing else."""
