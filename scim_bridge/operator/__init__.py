"""What an operator asks about people, for the commands and for a web console alike; no output here."""
