"""The command line: each command adds its parser now, everything else is imported when it runs."""
