"""Job repositories: in memory for tests of use cases, in SQL for everything else."""
