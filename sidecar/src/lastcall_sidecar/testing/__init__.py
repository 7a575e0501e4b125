"""Stand-ins that ship with the package: the demo, the tests and anybody who tries Lastcall out use them.

Nothing of the proxy itself may import from here.
"""
