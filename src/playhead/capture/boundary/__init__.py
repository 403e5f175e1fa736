"""Boundaries inside the agent's own process: one file each. Standard library only, and nothing is patched by an import.

Each file has `install(patches)`, which puts its wrappers in place. A wrapper asks `active.tape`, and does what it would
have done alone when there is none or when it runs `inside` another boundary.
"""
