"""What the process runs on: its event loop, its threads, signals, files and timers."""
