"""Files of strangers to samples."""
