"""What runs as a process: the service, workers for a service elsewhere, a Celery worker."""
