"""What the bridge talks about: employees, people, operations. Pure values, standard library only."""
