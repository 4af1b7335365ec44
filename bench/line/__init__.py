"""Calls over a bad line: a unit sends through two network namespaces and a forwarding process to some receiver.

Run one row (about 15 s more than the measured time), as root:

    .venv/bin/python -m bench.line --profile burst5 --seconds 20 --receivers ours --json --series

Use the line in a test or a bench of your own (`path.py`); it can be changed while a call runs:

    from bench.line.path import LinePath
    from bench.line.profiles import PROFILES

    async with LinePath(PROFILES["burst5"], seed=1) as line:
        plan = UnitPlan(..., measured=True, prefix=line.unit.prefix)    # starts in the unit's namespace
        # programs at the far end: prefix line.far.prefix, address line.far.host
        await line.cut()                          # pull the cable; line.plug() plugs it in again
        await line.use(PROFILES["500kbit"])       # another line from now on; line.clean() is a good one
        await line.change(up={"loss": 0.1})       # single values of LinkSettings; "up" is from the unit
        line.readdress_unit("10.77.0.9")          # another address, as after a new lease
        figures = await line.stats()              # delivered, dropped by cause, queue, per direction

`--then 20:clean` does the same from the command line: after 20 measured seconds the line is a good one.
docs/bench.md has the profiles, the columns and a table.
"""
