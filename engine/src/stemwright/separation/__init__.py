"""One separation: blocks of the mix in, blocks of the stems and a report out."""
