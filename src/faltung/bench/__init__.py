"""The benchmark: our kernels and their peers on layers of known networks, in interleaved rounds."""
