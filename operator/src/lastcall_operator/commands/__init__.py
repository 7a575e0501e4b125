"""What people run: tables in a terminal, JSON for scripts."""
