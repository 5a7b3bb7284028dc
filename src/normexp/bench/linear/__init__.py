"""linear_cross_entropy with its gradients: three arrays in, three results out, and memory to be measured.

`problem` makes the arrays, `peers` says who computes the results, `timed` times them; `memory` asks the system for the
peak of each, `exact` how wrong each one is, `promises` whether normexp keeps its word; `report` holds what came out,
`table` says it on the terminal, `page` on the page.
"""
