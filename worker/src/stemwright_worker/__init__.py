"""The worker: takes tasks from the API, runs models, sends results back. No database, no credentials."""
