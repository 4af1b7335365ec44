"""The bridge-point appliance: a videoconference endpoint for one meeting room."""

__version__ = "0.1.0"
