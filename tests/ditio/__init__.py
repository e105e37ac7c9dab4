"""The Ditio client against the simulated Ditio, in process."""
