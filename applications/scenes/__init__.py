"""One module per application, each with a `SCENE`."""
