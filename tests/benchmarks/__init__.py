"""The arithmetic of what `benchmarks` measures."""
