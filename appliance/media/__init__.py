"""What every part speaks of: frames, sound blocks, clocks, bounded queues, and the pipe to a worker process."""
