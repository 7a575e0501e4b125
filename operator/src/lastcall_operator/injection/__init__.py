"""What a pod looks like with its sidecar: pure."""
