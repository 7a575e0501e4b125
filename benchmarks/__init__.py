"""The sidecar beside nginx and beside no proxy at all, in one run: `make bench`. Ratios, since machines differ."""
