"""The commands: each module adds its parser, and imports what is heavy only when it runs."""
