"""Lastcall on a real cluster, judged by clients of the cluster that know nothing of it."""
