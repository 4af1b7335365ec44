"""How loud a block of sound is, for the MCUs that show whoever speaks (RFC 6464)."""

import math

import numpy as np

QUIET_DBOV = -127


def loudness_dbov(samples: bytes) -> int:
    """The level of 16-bit PCM against the loudest possible: 0 to -127 dBov."""
    values = np.frombuffer(samples, dtype="<i2").astype(np.float32)
    power = float(np.dot(values, values)) / max(len(values), 1)
    if power < 1e-3:
        return QUIET_DBOV
    return max(QUIET_DBOV, min(0, round(10 * math.log10(power / 32768.0**2))))
