"""The network in C, for CPUs: the same bits as the torch reference, faster."""
