"""What every benchmark of a whole stack shares; `benchmarks/README.md` has the method.

`deployment` brings a stack up through `hftctl deploy`, `rounds` runs designs in turn and repeats disturbed runs, `cpu` says
who spent the processors, `wrk` makes load, `report` puts machine, sync time and figures into one document.
"""
