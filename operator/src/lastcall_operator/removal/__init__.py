"""Whether a pod may go now: the pure decision on every removal that Kubernetes asks for."""
