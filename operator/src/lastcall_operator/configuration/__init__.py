"""From a StreamProxy to the file that its sidecars read: pure."""
