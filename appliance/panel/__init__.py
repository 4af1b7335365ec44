"""The web panel: Flask in its own process, speaking to the control socket alone."""
