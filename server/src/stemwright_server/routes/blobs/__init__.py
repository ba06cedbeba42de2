"""The signed URLs of the local blob store."""
