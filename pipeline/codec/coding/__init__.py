"""How pixels become symbols: tiles, label maps, bins, integer frequencies, range coding."""
