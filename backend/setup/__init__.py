"""How the line is set up and started: environments, training, processes. `make run` and `make test` call it."""
