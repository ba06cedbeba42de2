"""What the service does, over ports. One module a use case; each is a function of ``Deps`` and values."""
