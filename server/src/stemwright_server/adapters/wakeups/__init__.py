"""Waking up those who wait for a job: within this process, or in every process over one PostgreSQL."""
