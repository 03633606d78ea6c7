"""Where a stage's work runs: in this process, under torchrun, or as a SLURM job."""
