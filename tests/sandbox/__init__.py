"""The simulated Ditio and the simulated Entra do what the documentation of the real ones says."""
