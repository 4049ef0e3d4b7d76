"""What adapters are tested with; shipped, so that other packages test theirs.

contract.py   AdapterContract, the tests every adapter passes (needs pytest)
double.py     a domain and models without torch, to test and time the core itself
"""
