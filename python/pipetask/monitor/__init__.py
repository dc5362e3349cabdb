"""Look at runs from another process, while they run or later: what runs, what failed, how it goes on."""
