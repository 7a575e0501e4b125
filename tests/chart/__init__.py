"""The chart's manifests, as helm renders them: no cluster needed."""
