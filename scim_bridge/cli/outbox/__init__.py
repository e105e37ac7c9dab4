"""`scim-bridge outbox`: who waits for Ditio, why, and what to do about it."""
