"""Takes a mix apart into stems."""
