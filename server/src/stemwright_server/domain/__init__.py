"""The words of the service and the rules of a job's life. Standard library only; nothing here does input or output."""
