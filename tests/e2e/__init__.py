"""End-to-end tests: the real command, real sockets, real frameworks."""
