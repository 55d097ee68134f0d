"""Which primitive should I use, on this machine, for my message size? Measured with real processes.

`ipckit bench` is the command. The parts, from below: a `row` of the `suite` says how to send and receive;
`measurements` are the timed loops, which a `worker` runs; a `pair` of workers is what a `visit` measures with; the
`engine` visits every row again and again; the `report` holds the samples, `statistics` ranks them, `sheets` makes
tables of them for the `terminal` and the `page`, and `compare` holds two reports side by side.
"""
