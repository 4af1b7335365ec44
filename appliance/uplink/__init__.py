"""Connections to the central MCU: the Session contract and its drivers."""
