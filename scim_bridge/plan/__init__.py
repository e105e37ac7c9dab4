"""What has to change, which employee is the person, and in which steps the change is made. Pure functions."""
