"""The console at `/console/`: pages on which administrators see what happened, and act. No SQL; asks `operator/`."""
