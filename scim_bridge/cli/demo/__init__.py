"""`scim-bridge demo`: a company is hired, changed and ended before your eyes."""
