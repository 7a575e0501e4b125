"""The cluster that is none: pods are processes on this machine, and a TCP front stands in for the Service.

It offers what a cluster offers to the planner: a snapshot to decide on (`LocalCluster.snapshot`) and somebody who does
what was decided (`LocalCluster.act`). `lastcall demo` and its tests use it. Nothing here decides which pod goes next.
"""
