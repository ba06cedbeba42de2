"""What has to be known of the bytes of some containers."""
