"""Which client calls, and for which company."""
