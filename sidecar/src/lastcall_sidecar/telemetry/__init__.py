"""What others may know about us: metrics by OpenTelemetry, read by Prometheus."""
