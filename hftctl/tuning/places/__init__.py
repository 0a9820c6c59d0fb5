"""Places on a host that can be read and written, each named by a subject `kind:where`.

A subject alone is enough to read and to write: what an older hftctl wrote, a newer one can take back.
"""
