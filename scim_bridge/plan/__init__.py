"""What has to change, who is the same, and in which steps. Pure."""
