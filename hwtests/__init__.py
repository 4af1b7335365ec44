"""Checks that need the real thing: a camera, a sound card, the board. Run on the unit: `make hwtest`."""
