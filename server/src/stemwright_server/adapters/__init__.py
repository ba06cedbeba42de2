"""The ports over real parts. Each passes its port's contract suite."""
