"""The cluster and its sidecars, read and written. Decides nothing."""
