"""Common code of the tests: oracles, strategies, the contract."""
