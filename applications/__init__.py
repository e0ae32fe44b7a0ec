"""Real applications from the package index under this server: `make applications`."""
