"""The benchmark command: this server beside its peers, by CPU time per answered request. `python -m benches --help`."""
