"""`python -m appliance` is the `bridgepoint` command."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="bridgepoint")
