"""`lastcall demo`: a rolling restart of three real sidecars under live streams, on this machine, without a cluster.

`run.py` plays it, `rollouts.py` holds its two ways of restarting, `scene.py` is what can be seen at one moment,
`picture.py` and `plain.py` show it, and `verdict.py` judges the run.
"""
