"""HTTP to other services, whichever they are: exchanges, limits, tokens, sessions and pages."""
