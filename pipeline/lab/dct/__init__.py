"""Training and measuring of the coder of JPEG files' coefficients."""
