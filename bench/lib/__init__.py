"""The comparison with other servers: `bench/run` is its command, bench/README.md its description."""
