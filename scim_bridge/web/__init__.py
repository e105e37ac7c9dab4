"""The web server: a thin Flask layer over the protocol and intake."""
