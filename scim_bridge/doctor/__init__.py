"""What the bridge stands on, checked: database, Ditio, Entra, clocks, addresses, settings; for command and page."""
