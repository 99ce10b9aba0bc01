"""SIC, the latents of arXiv 2509.07704: coding them, and the features made of them."""
