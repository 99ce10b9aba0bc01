"""Float networks that hold the decoder's integers, for training; nobody decodes with them."""
