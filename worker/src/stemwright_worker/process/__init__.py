"""What a worker is as a process: kept alive, watched, capped, and ended with its parent."""
