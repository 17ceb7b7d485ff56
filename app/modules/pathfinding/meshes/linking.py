"""Links between polygons.

It knows.
"""


def link(p, m, a):
    return p
