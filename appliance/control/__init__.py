"""The local control API over a Unix socket: JSON lines, versioned."""
