"""The names of the operator's metrics."""

SCOPE = "lastcall_operator"
#: by kind (ReplicaSet, StatefulSet, Eviction, none) and decision (Allow, Refuse)
REMOVALS = "lastcall_removals"
REMOVAL_SECONDS = "lastcall_removal_duration_seconds"
#: removals and injections that met an error of ours, by its kind
FAULTS = "lastcall_webhook_faults"
#: by outcome (injected, refused, unlabelled)
INJECTIONS = "lastcall_injections"
CERTIFICATE_EXPIRY = "lastcall_webhook_certificate_expiry_timestamp_seconds"
POLL_SECONDS = "lastcall_poll_seconds"
PODS = "lastcall_pods"
ROLLOUTS = "lastcall_rollouts"
ROLLOUT_STREAMS_DROPPED = "lastcall_rollout_streams_dropped"
