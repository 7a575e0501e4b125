"""Every name that a dashboard or an alert may depend on; the Prometheus exporter adds `_total` to counters."""

SCOPE = "lastcall.sidecar"

IN_FLIGHT = "lastcall_in_flight"
STREAMS = "lastcall_streams"
QUEUED = "lastcall_queued"
DRAINING = "lastcall_draining"
DRAIN_DURATION = "lastcall_drain_duration_seconds"
REQUESTS = "lastcall_requests"
STREAMS_DROPPED = "lastcall_streams_dropped"
TIME_TO_FIRST_EVENT = "lastcall_time_to_first_event_seconds"
UPSTREAM_ERRORS = "lastcall_upstream_errors"
CONFIG_ERRORS = "lastcall_config_errors"
