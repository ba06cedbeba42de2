"""Where models come from: each place is a `stemwright.checkpoints.model_info.Source`, and a line in `catalogue.sources_of`."""
