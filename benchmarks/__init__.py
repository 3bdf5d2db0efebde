"""What mflib does, timed beside the plain ways to do it: ``python -m benchmarks.run --help``."""
