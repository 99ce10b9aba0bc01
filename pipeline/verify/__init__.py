"""Read committed rows and prove them. Knows nothing of encoding, and keeps going after a finding."""
