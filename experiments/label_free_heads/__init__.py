"""Seven head rankings without labels, compared with the labelled one.

docs/reports/label-free-heads.md has the results. Two of the seven stayed in
`lhtclip.analysis.label_free`.
"""
