"""Track Tree's API: a signed request with links in, a signed webhook with links out."""
