"""`scim-bridge demo`: the bridge between a simulated Entra and a simulated Ditio."""
