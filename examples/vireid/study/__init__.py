"""Every claim of the paper as a change to one setting of CAL, trained over several seeds and compared."""
