"""Which way a file takes into the archive (`choose`), and the way back (`rebuild`)."""
