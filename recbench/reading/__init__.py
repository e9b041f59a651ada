"""From bytes on disk, or a frame in memory, to columns that are checked row by row.

`sources` finds files and unpacks them, `delimited` and `records` take them apart into blocks of columns, `convert` makes
numbers, seconds and ids of them, and what cannot be read goes to the `quarantine`. `policy` holds the values that all
share, `roles` guesses which column is which. Only `policy` and `quarantine` come without pyarrow.
"""
