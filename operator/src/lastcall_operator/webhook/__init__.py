"""The webhook process: injection, and a word on every removal, over TLS."""
