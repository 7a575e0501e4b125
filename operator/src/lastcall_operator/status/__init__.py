"""What the controller tells of the cluster: slim records of objects, rolled up into status and conditions. Pure."""
