"""Composition roots of the three worker processes: camera, sound and screen."""
