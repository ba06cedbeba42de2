"""Whether a token holds, for gateways that ask before they pass a request on."""
