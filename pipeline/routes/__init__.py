"""The routes into the archive and back: `reading` has one module a route, `writing` another.

The halves are apart so that what verifies an archive cannot reach what encodes.
"""
