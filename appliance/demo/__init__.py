"""The demonstration: a lab MCU, bridge points, and what is measured of them."""
