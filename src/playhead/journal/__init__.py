"""The truth on disk: segments, session folders, sealed files, the store and its catalogue.

Only `recorder` and `segment` run while an agent runs; both import the standard library and `core` alone.
"""
