"""The structure of some containers, as far as reading or writing has to know their bytes."""
