"""Who calls, and for which company."""
