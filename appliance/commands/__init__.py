"""The sub-commands of `bridgepoint` that are not a part's own."""
