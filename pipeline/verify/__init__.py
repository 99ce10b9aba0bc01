"""Check committed rows against their digests, without encoding; a finding never ends the check."""
