"""The controller process: kopf's watches and indexes, and our level-based loops over them."""
