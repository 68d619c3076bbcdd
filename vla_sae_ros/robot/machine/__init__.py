"""The machine of states that says whether and by whom an arm may be moved: `table` is its page.

Plain Python without threads, clocks or drivers: one thread owns a machine and hands it events; what
has to be done comes back as actions. `test/robot/machine/` explores it exhaustively.
"""
