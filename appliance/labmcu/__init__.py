"""A small MCU for demonstrations and tests: WHIP in, tiles and N-1 sound out over WHEP."""
