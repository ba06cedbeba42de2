"""The upload API: a song in one request, its stems as a zip. See README.md."""
