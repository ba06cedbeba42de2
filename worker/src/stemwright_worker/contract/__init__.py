"""What crosses a process: tasks, claims and reports as JSON, and how they are signed."""
