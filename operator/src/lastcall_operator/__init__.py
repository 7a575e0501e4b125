"""Lastcall's operator: it decides every removal of a pod by what the pod carries."""
