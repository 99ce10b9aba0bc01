"""Read committed rows and prove them; knows nothing of encoding, and goes on after a finding."""
