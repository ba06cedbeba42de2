"""Routes that are no dialect: of workers, of signed URLs, of the page, of metrics."""
