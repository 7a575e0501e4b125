"""What other programs see of Lastcall in a cluster: resources, labels, annotations, conditions, the sidecar's gauge.

Pure: nothing here does I/O.
"""
