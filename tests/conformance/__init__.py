"""Public conformance suites against the real server: `make conformance`. Not part of the tests."""
