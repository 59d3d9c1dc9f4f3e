"""What the clock and the queue do: jobs that no request waits for."""
