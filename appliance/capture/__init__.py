"""Camera, encoder and microphone adapters."""
