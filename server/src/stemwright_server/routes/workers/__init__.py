"""The API that workers use: claim and report."""
