"""The decisions of the sidecar, as pure values: lifecycle, gauge, admission and memory budget.

Called by the pipeline, the drain loop and the routes. Nothing in here awaits, reads a clock or does any I/O: time comes
in as `now` (monotonic seconds), and what is to be done goes out as a return value.
"""
