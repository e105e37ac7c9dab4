"""Microsoft Graph over HTTP: signing in, reading pages, and what its answers mean. Nothing is written there."""
